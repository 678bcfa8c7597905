"""`prompts`: versions, labels and their history, from the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from llmtower_processors.cli.library import find, labelled, moment, named, run, run_allowed, user
from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.errors import NotConfigured

if TYPE_CHECKING:
    from llmtower_schemas.prompt_store import PromptStore
    from llmtower_schemas.prompts import Prompt, Version

Name = Annotated[str, typer.Argument(metavar="PROMPT", help="Name of the prompt: support/answer.")]
Title = Annotated[
    str, typer.Argument(metavar="PROMPT", help="Name and version, support/answer@7, or name@label; without either the newest.")
]
Label = Annotated[str, typer.Option(help="Label to move: production, staging, any word.")]
By = Annotated[str, typer.Option(help="Who does it [default: the user of this machine].")]
Note = Annotated[str, typer.Option(help="Why; shown on charts and in the history.")]
Key = Annotated[str, typer.Option(envvar="LLMTOWER_PROMPTS__KEY", help="API key of the scope promote, where the label is protected.")]
Seen = Annotated[
    int | None,
    typer.Option("--if", min=0, help="Only if the label points to this version now (0 = to none): another move is not overwritten."),
]


def prompts_push(
    name: Name,
    file: Annotated[Path, typer.Option("--file", help="The prompt as a file: YAML between --- lines, then a text or messages.")],
    message: Annotated[str, typer.Option(help="What this version changes.")] = "",
    author: Annotated[str, typer.Option(help="Who wrote it [default: what the file says, else the user of this machine].")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Store the next version of a prompt; one that says the same as the newest is not stored again.

    Example: `llmtower prompts push support/answer --file prompt.md --message "shorter answers"`
    """
    from llmtower_processors.prompts.files import read_prompt

    title = named(name)
    prompt = _ready(title, _signed(read_prompt(file), author, message))
    pushed = run(data_dir, lambda store: store.push(title, prompt))
    typer.echo(f"{pushed.version.title} {'pushed' if pushed.new else 'says the same already: nothing was pushed'}")


def prompts_sync(
    folder: Annotated[
        Path, typer.Argument(help="Folder of prompts, reviewed in git like source code: support/answer.md is support/answer.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Push what differs. Without it the plan is shown, and nothing done.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when something differs: for a gate in CI.")] = False,
    message: Annotated[str, typer.Option(help="What the new versions change, a commit's title say.")] = "",
    author: Annotated[str, typer.Option(help="Who wrote them [default: what each file says, else the user of this machine].")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Compare a folder with the registry, and with --apply push what differs. Labels stay where they are.

    Example: `llmtower prompts sync ./prompts --apply --message "$(git log -1 --format=%s)"`
    """
    from llmtower_processors.prompts.files import read_folder
    from llmtower_processors.prompts.plan import plan

    files = {name: _ready(name, _signed(prompt, author, message)) for name, prompt in read_folder(folder).items()}

    async def job(store: "PromptStore") -> bool:
        changes = plan(files, await store.refresh())
        for change in changes:
            typer.echo(f"{change.action:9} {change.name}@{change.number}" + (f"\n{change.difference}" if change.difference else ""))
        differing = [change for change in changes if change.action in ("create", "update")]
        for change in differing if apply else ():
            pushed = await store.push(change.name, files[change.name])
            typer.echo(f"pushed    {pushed.version.title}")
        if differing and not apply:
            typer.echo(f"{len(differing)} prompt(s) differ; --apply pushes them.")
        return bool(differing)

    differs = run(data_dir, job)
    raise typer.Exit(1 if check and differs and not apply else 0)


def prompts_list(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show all prompts: newest version, labels, author.

    Example: `llmtower prompts list`
    """
    from llmtower_processors.cli.data import show

    book = run(data_dir, lambda store: store.refresh())
    rows = []
    for name in book.names():
        newest = book.version(name, book.newest(name))
        labels = ", ".join(f"{label} → {number}" for label, number in sorted(book.labels(name).items()))
        about = (newest.prompt.form, newest.prompt.author, moment(newest.at_ms)) if newest else ("cannot be read", "", "")
        rows.append((name, book.newest(name), labels, *about))
    show(("prompt", "newest", "labels", "form", "author", "pushed"), rows, output)


def prompts_show(
    title: Title, output: Annotated[str, typer.Option("--format", help="file or json.")] = "file", data_dir: DataDir = DATA_DIR
) -> None:
    """Print a version as the file that it can be pushed from.

    Example: `llmtower prompts show support/answer@production`
    """
    from llmtower_processors.prompts.files import file_text

    version = run(data_dir, lambda store: find(store, title))
    if output == "json":
        typer.echo(orjson.dumps(version.model_dump(mode="json"), option=orjson.OPT_INDENT_2).decode())
        return
    prompt = version.prompt
    typer.echo(f"# {version.title}, sha256 {version.sha256[:12]}, {moment(version.at_ms)}, {prompt.author}: {prompt.message}", err=True)
    typer.echo(file_text(prompt), nl=False)


def prompts_diff(
    old: Title, new: Annotated[str, typer.Argument(metavar="PROMPT", help="The other version, likewise.")], data_dir: DataDir = DATA_DIR
) -> None:
    """Show what is different in the second version: texts, variables, parameters, tools.

    Example: `llmtower prompts diff support/answer@production support/answer`
    """
    from llmtower_processors.prompts.files import file_text
    from llmtower_processors.prompts.plan import difference

    async def job(store: "PromptStore") -> tuple["Version", "Version"]:
        return await find(store, old), await find(store, new)

    a, b = run(data_dir, job)
    typer.echo(difference(file_text(a.prompt), file_text(b.prompt), a.title, b.title) or f"{a.title} and {b.title} say the same.")


def prompts_history(name: Name, data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show who pushed and who moved which label when, newest first.

    Example: `llmtower prompts history support/answer`
    """
    from llmtower_processors.cli.data import show

    title = named(name)

    async def job(store: "PromptStore") -> list[tuple[int, str, str, str, str]]:
        book = await store.refresh()
        store.need(title, book.newest(title))
        rows = [(one.at_ms, "push", str(one.number), one.prompt.author, one.prompt.message) for one in book.versions(title)]
        for label in book.labels(title):
            for moved in book.moves(title, label):
                what = f"{label} {moved.before or 'nothing'} → {moved.move.version}"
                rows.append((moved.at_ms, moved.move.action, what, moved.move.by, moved.move.note))
        return sorted(rows, reverse=True)

    rows = [(moment(at_ms), *rest) for at_ms, *rest in run(data_dir, job)]
    show(("time", "action", "what", "by", "note"), rows, output)


def prompts_promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="Version that the label shall point to.")],
    label: Label = "production",
    by: By = "",
    note: Note = "",
    seen: Seen = None,
    key: Key = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Point a label to a version. Applications have it within two seconds; charts mark it; who moves at the same moment is told.

    Example: `llmtower prompts promote support/answer 7 --label production --if 6 --note "shorter answers"`
    """
    title, to = named(name), labelled(label)

    async def job(store: "PromptStore", key_id: str) -> str:
        before = (await store.refresh()).pointed(title, to)
        await store.promote(
            title, version, label=to, by=by or user(), key_id=key_id, note=note, seen=seen if seen is not None else before or 0
        )
        return f"{title} {to}: {before or 'nothing'} → {version}"

    typer.echo(run_allowed(data_dir, to, key, job))


def prompts_rollback(
    name: Name, label: Label = "production", by: By = "", note: Note = "", seen: Seen = None, key: Key = "", data_dir: DataDir = DATA_DIR
) -> None:
    """Point a label back to what it pointed to before its last promotion; again goes back one more.

    Example: `llmtower prompts rollback support/answer --label production --note "toxic answers"`
    """
    from llmtower_schemas.prompt_store import moved_to

    title, to = named(name), labelled(label)

    async def job(store: "PromptStore", key_id: str) -> str:
        before = (await store.refresh()).pointed(title, to)
        seen_now = seen if seen is not None else before or 0
        entry = await store.rollback(title, label=to, by=by or user(), key_id=key_id, note=note, seen=seen_now)
        return f"{title} {to}: {before} → {moved_to(entry)}"

    typer.echo(run_allowed(data_dir, to, key, job))


def prompts_render(
    title: Title,
    values: Annotated[list[str], typer.Option("--set", help="A variable, question=Where…; a value that is JSON is taken as such.")] = [],  # noqa: B006 - typer's way
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Fill the variables of a version in and print what a model would be asked.

    Example: `llmtower prompts render support/answer@7 --set question="Where is my parcel?"`
    """
    from llmtower.rendering import LoadedPrompt, PromptUnusableError

    version = run(data_dir, lambda store: find(store, title))
    prompt = LoadedPrompt(version.name, str(version.number), version.prompt, source="registry")
    try:
        found = prompt.render(**{name: _value(name, text, version.prompt) for name, _, text in (one.partition("=") for one in values)})
    except PromptUnusableError as error:
        raise NotConfigured(str(error)) from error
    if isinstance(found, str):
        typer.echo(found)
    else:
        for message in found:
            typer.echo(f"{message['role']}:\n{message['content']}\n")


def _signed(prompt: "Prompt", author: str, message: str) -> "Prompt":
    return prompt.model_copy(update={"author": author or prompt.author or user(), "message": message})


def _ready(name: str, prompt: "Prompt") -> "Prompt":
    from llmtower.rendering import PromptUnusableError, checked

    try:
        return checked(name, prompt)
    except PromptUnusableError as error:
        raise NotConfigured(str(error)) from error


def _value(name: str, text: str, prompt: "Prompt") -> Any:
    declared = prompt.variables.get(name)
    if declared is not None and declared.type == "string":
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
