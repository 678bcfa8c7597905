"""Edge: models in the registry. Every change is compare-and-set: of two people who change one model at once, the later one is told."""

from collections.abc import Mapping, Sequence

from llmtower_schemas.chains import Chains, RegistryRecord
from llmtower_schemas.keys import PREFIX as KEYS
from llmtower_schemas.models import PREFIX, STAGES, Model, Stage, chain_of, encode_model, read_model
from llmtower_schemas.promotion import NotAllowedError, allowed_by, known_keys
from llmtower_schemas.registry_log import RegistryLog, TakenError, append


class ModelError(Exception):
    """A model that is not there, or a change that cannot be made; the message says which, and what to do."""

    retriable = False


class Models:
    """Every registered model, as far as the registry was read."""

    def __init__(self, log: RegistryLog) -> None:
        self._log = log
        self._chains = Chains(PREFIX)
        self._keys: list[RegistryRecord] = []

    async def read(self) -> list[RegistryRecord]:
        """Read on to the present end, and give what was new. Raises RegistryUnavailable."""
        records = await self._log.read()
        self._keys += [one for one in records if (one.key or b"").startswith(KEYS.encode())]
        self._chains.learn(records)
        return records

    def all(self) -> Mapping[str, Model]:
        """Give every model by its id, as it is now."""
        found = {name.removeprefix(PREFIX): self.history(name.removeprefix(PREFIX)) for name in self._chains.names(PREFIX)}
        return {model: entries[-1][1] for model, entries in found.items() if entries}

    def history(self, model: str) -> list[tuple[int, Model]]:
        """Give what was written of a model, oldest first, with the time (milliseconds) Kafka took it."""
        entries = self._chains.entries(chain_of(model))
        return [(entry.at_ms, found) for entry in entries if (found := read_model(entry))]

    def get(self, model: str) -> Model:
        """Give a model. Raises ModelError, which names what there is."""
        known = self.all()
        if model not in known:
            there = f" Registered are {', '.join(sorted(known)[:10])}." if known else ""
            raise ModelError(f"Nobody registered {model}.{there} Register it: llmtower models register {model}")
        return known[model]

    def trained_on(self, dataset: str) -> list[str]:
        """Give the ids of models that were trained on a version of a dataset (`name@version`)."""
        return sorted(model for model, one in self.all().items() if one.dataset == dataset)

    async def register(self, model: Model) -> Model:
        """Write all that is known of a model; its stage stays as it is. Raises ModelError, RegistryUnavailable."""
        known = self.all().get(model.model)
        kept = {"stage": known.stage} if known else {}
        return await self._write(model.model_copy(update=kept | {"action": "register"}))

    async def stage(
        self, model: str, stage: str, *, by: str, note: str, protected: str = "", shown: str = "", seen: str | None = None, key_id: str = ""
    ) -> tuple[Stage, Model]:
        """Move a model to a stage and give the one it had. `protected` stages want a key of the scope promote, as labels do: `shown`.

        `seen` is the stage that you believe it is in: another one there is refused. `key_id` is of a key that was
        looked at already. Raises ModelError, RegistryUnavailable.
        """
        if stage not in STAGES:
            raise ModelError(f"{stage!r} is no stage; there are {', '.join(STAGES)}.")
        known = self.get(model)
        if seen is not None and known.stage != seen:
            raise ModelError(f"{model} is in stage {known.stage}, not in {seen}: {known.by or 'somebody'} moved it. Look again.")
        if known.stage == stage:
            raise ModelError(f"{model} is in stage {stage} already.")
        used = self._allowed((stage, known.stage), protected, shown) or key_id
        moved = known.model_copy(update={"stage": stage, "by": by, "note": note or known.note, "action": "stage", "key_id": used})
        return known.stage, await self._write(moved)

    def _allowed(self, stages: Sequence[str], protected: str, shown: str) -> str:
        """To put something into production, and to take it away, are alike."""
        keys = known_keys(self._keys)
        try:
            used = [allowed_by(one, protected=protected, keys=keys, shown=shown, what="stage") for one in stages]
        except NotAllowedError as error:
            raise ModelError(str(error)) from error
        return next(filter(None, used), "")

    async def _write(self, model: Model) -> Model:
        head = self._chains.head(chain_of(model.model))
        try:
            entry = await append(self._log, self._chains, chain_of(model.model), encode_model(model), after=head.number if head else 0)
        except TakenError as error:
            other = read_model(error.entry)
            who = f" by {other.by}" if other and other.by else ""
            raise ModelError(f"{model.model} was changed{who} at the same time. See `llmtower models show` and try again.") from None
        found = read_model(entry)
        assert found is not None  # noqa: S101 - we wrote it
        return found
