// Llmtower thumbs: docs/feedback.md
(() => {
	const d = document, me = d.currentScript, set = me.dataset
	const id = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ Math.random() * 16 >> c / 4).toString(16))
	let user = set.user, queue = Promise.resolve()
	try { user ||= localStorage.llmtowerUser ||= "web-" + id() } catch {}
	const post = (box, score, comment) => fetch(set.url || new URL("/v1/feedback", me.src), {
		method: "POST",
		keepalive: true,
		headers: { "content-type": "application/json", ...(set.key && { authorization: "Bearer " + set.key }) },
		body: JSON.stringify({
			feedback_id: id(), target_kind: box.dataset.llmtower, target_id: box.dataset.id,
			score, comment, user_id: user, app: set.app, environment: set.environment
		})
	}).then((r) => { if (!r.ok) throw r })
	const add = (box) => {
		if (box.querySelector(".llmtower-bar")) return
		const bar = d.createElement("span"), why = d.createElement("input"), told = d.createElement("output")
		bar.className = "llmtower-bar"
		why.hidden = true
		why.maxLength = 2000
		why.placeholder = why.ariaLabel = set.why || "What was wrong?"
		let score
		const say = () => queue = queue.then(() => post(box, score, why.value)).then(
			() => told.value = set.thanks || "Thank you",
			() => told.value = set.failed || "Not sent: try again")
		const button = (face, value, name) => {
			const one = d.createElement("button")
			one.type = "button"
			one.textContent = face
			one.title = one.ariaLabel = name
			one.onclick = () => {
				score = value
				up.ariaPressed = one == up
				down.ariaPressed = !(why.hidden = one == up)
				if (one == up) why.value = ""
				say()
			}
			return one
		}
		const up = button("👍", 1, set.good || "Good answer"), down = button("👎", -1, set.bad || "Bad answer")
		why.onchange = say
		bar.append(up, down, why, told)
		box.append(bar)
	}
	const all = () => d.querySelectorAll("[data-llmtower][data-id]").forEach(add)
	new MutationObserver(all).observe(d, { childList: true, subtree: true })
	all()
})()
