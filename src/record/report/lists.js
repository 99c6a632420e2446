// ---- What a mark tells: on hover, on focus, on tap ------------------------------------------------

const tip = $("tip");
function tells(node, { title, text }) {
  const label = `${title}: ${text}`;
  node.setAttribute("aria-label", label);
  const show = () => {
    tip.replaceChildren(el("b", "", title), text);
    tip.hidden = false;
    const box = node.getBoundingClientRect();
    const frame = scroller.getBoundingClientRect();
    const anchor = Math.max(frame.left, Math.min(box.left, frame.right - 20));
    const x = Math.max(12, Math.min(anchor, innerWidth - tip.offsetWidth - 12));
    const over = box.top - tip.offsetHeight - 8;
    tip.style.left = `${x}px`;
    tip.style.top = `${over > 8 ? over : box.bottom + 8}px`;
  };
  const hide = () => (tip.hidden = true);
  node.addEventListener("pointerenter", show);
  node.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  node.addEventListener("focus", show);
  node.addEventListener("blur", hide);
  node.addEventListener("click", show);
  return node;
}
addEventListener("scroll", () => (tip.hidden = true), { passive: true });

// ---- The transcript -------------------------------------------------------------------------------

const list = $("transcript");
const lines = [];
const aside = (ms, cls, strong, text, link) => {
  const what = el("span", "", el("b", "", strong), text ? " " + text : "");
  if (link) {
    const a = el("a", "", "why");
    a.href = `#${link}`;
    what.append(" · ", a);
  }
  return { ms, node: el("li", "", el("div", `aside ${cls}`, el("span", "time", time(ms)), what)) };
};
const entries = data.turns.map((turn) => {
  const words = el("span", "words", el("span", "who", turn.name), " ", turn.text);
  if (turn.interrupted) words.append(" ", el("span", "tag cut", "— cut"));
  if (turn.intent) words.append(" ", el("span", "tag", `→ ${turn.intent}`));
  if (turn.backchannel) words.append(" ", el("span", "tag", "(attention)"));
  const node = button(`line ${turn.speaker}${turn.counterfactual ? " other" : ""}`, () => playFrom(turn.from_ms), el("span", "time", time(turn.from_ms)), words);
  node.dataset.ms = turn.from_ms;
  lines.push({ from: turn.from_ms, to: Math.max(turn.to_ms, turn.from_ms + 1200), node });
  return { ms: turn.from_ms, node: el("li", "", node) };
});
data.hand_overs.forEach((move, n) => entries.push(aside(move.at_ms, move.void ? "bad" : "move", move.void ? "hand-over refused" : "hand-over", move.title, `move-${n}`)));
data.interruptions.forEach((cut, n) => entries.push(aside(cut.at_ms, "cut", cut.void ? "cut, then went on" : "cut", cut.title, `cut-${n}`)));
for (const call of data.calls) {
  entries.push(aside(call.from_ms, "", call.tool, `${json(call.arguments)}${call.deferred ? ", deferred" : ""}`));
  if (call.to_ms === null) continue;
  const after = ` after ${call.to_ms - call.from_ms} ms`;
  entries.push(call.failure ? aside(call.to_ms, "bad", `${call.tool} failed`, `${call.failure}${after}`) : aside(call.to_ms, "", `${call.tool} →`, `${json(call.result)}${after}`));
}
entries.sort((a, b) => a.ms - b.ms);
if (entries.length > 1000) list.classList.add("long");
if (entries.length) list.append(...entries.map((entry) => entry.node));
else list.append(el("li", "none", "Nobody said anything."));

let active = [];
function markLines(jumped) {
  const at = now();
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (lines[mid].from <= at) low = mid + 1;
    else high = mid;
  }
  const on = [];
  for (let n = low - 1; n >= 0 && n >= low - 24; n--) if (lines[n].to > at) on.push(lines[n]);
  if (on.length === active.length && on.every((one, n) => one === active[n]) && !jumped) return;
  for (const one of active) {
    one.node.classList.remove("on");
    one.node.removeAttribute("aria-current");
  }
  for (const one of on) {
    one.node.classList.add("on");
    one.node.setAttribute("aria-current", "true");
  }
  active = on;
  if (!$("follow").checked || !on.length || (audio.paused && !jumped)) return;
  const node = on[0].node;
  const line = node.getBoundingClientRect();
  const frame = list.getBoundingClientRect();
  if (line.top >= frame.top && line.bottom <= frame.bottom - 40) return;
  list.scrollTop += line.top - frame.top - list.clientHeight / 3;
}
// Who scrolls for themselves is not pulled back.
const unfollow = () => {
  if (!audio.paused) $("follow").checked = false;
};
list.addEventListener("wheel", unfollow, { passive: true });
list.addEventListener("touchmove", unfollow, { passive: true });
$("follow").addEventListener("change", () => markLines(true));

// ---- Reasons --------------------------------------------------------------------------------------

const cards = (id, kind, entries, none) => {
  if (!entries.length) $(id).append(el("p", "none", none));
  entries.forEach((card, n) => {
    const start = Math.max(0, card.from_ms - 1500);
    const go = playsFrom(card.at_ms, "t go", "▶ ");
    go.addEventListener("click", () => playFrom(start));
    const node = el("article", `card ${kind}${card.void ? " void" : ""}`, el("header", "", go, el("h4", "", card.title), el("span", "badge", card.badge)), prose(card.told));
    node.id = `${kind}-${n}`;
    $(id).append(node);
  });
};
cards("moves", "move", data.hand_overs, "The call stayed with one agent.");
cards("cuts", "cut", data.interruptions, "The agent was never cut.");
cards("overlaps", "overlap", data.overlaps, "Nothing was heard over the agent that did not interrupt it.");

// ---- The path through the agents ------------------------------------------------------------------

if (data.path) {
  const { steps, start, void: why } = data.path;
  $("path-part").hidden = false;
  $("picture").hidden = Boolean(why);
  const went = steps.length ? `The call began with ${start} and went on in ${many(steps.length, "step")}; their numbers stand beside the ways, and a click plays from there.` : `The call stayed with ${start}.`;
  $("path-note").textContent = why ? `${went} There is no picture: ${why}.` : went;
  for (const step of steps) {
    $("path").append(el("li", "", playsFrom(step.at_ms, "t go", "▶ "), el("b", "", `${step.from} → ${step.to}`), el("span", "badge", step.cause)));
  }
  for (const node of document.querySelectorAll("#picture [data-step]")) {
    const step = steps[node.dataset.step - 1];
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", "0");
    node.setAttribute("aria-label", `Step ${node.dataset.step}: ${step.from} → ${step.to}, play from ${time(step.at_ms)}`);
    node.addEventListener("click", () => playFrom(step.at_ms));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      playFrom(step.at_ms);
    });
  }
}

// ---- Answers --------------------------------------------------------------------------------------

const PARTS = [
  ["silence", "silence that ended the utterance"],
  ["recogniser", "recogniser: its last words"],
  ["turn", "more silence: the turn might go on"],
  ["thinking", "agent and tools"],
  ["voice", "synthesiser, and waiting for the floor"],
];
if (data.answers.length) {
  const head = el("tr", "", el("th", "n", "at"), el("th", "", "turn"), el("th", "chart", "from the last of its voice to the first of the answer"));
  for (const name of ["silence", "recogniser", "turn", "agent", "voice"]) head.append(el("th", "n part", name));
  head.append(el("th", "n", "all, ms"));
  const longest = Math.max(...data.answers.map((answer) => answer.total_ms), 1);
  const body = el("tbody");
  for (const answer of data.answers) {
    const stack = el("div", "stack");
    for (const [part] of PARTS) {
      const piece = el("i", part);
      piece.style.width = `${(answer[`${part}_ms`] / longest) * 100}%`;
      stack.append(piece);
    }
    const text = answer.text.length > 60 ? `${answer.text.slice(0, 58)}…` : answer.text;
    const row = el("tr", "", el("td", "n", playsFrom(answer.from_ms)), el("td", "what", el("span", "", `${answer.who}: ${text}${answer.typed ? " (typed)" : ""}`)), el("td", "chart", stack));
    for (const [part] of PARTS) {
      const ms = answer[`${part}_ms`];
      row.append(el("td", ms ? "n part" : "n part zero", String(ms)));
    }
    row.append(el("td", "n total", String(answer.total_ms)));
    body.append(row);
  }
  $("answers").append(el("thead", "", head), body);
  legend("answers-legend", PARTS.map(([part, text]) => [`.${part}`, text]));
  $("answers-note").textContent = `An utterance is over after ${data.rules.end_silence_min_ms} ms of silence; words that the agent does not understand wait for ${data.rules.end_silence_max_ms} ms.`;
} else {
  $("answers-note").textContent = "No turn was answered in this call.";
  document.querySelector("#answers").parentNode.hidden = true;
}

// ---- The clock ------------------------------------------------------------------------------------

if (data.lateness) {
  const micro = (us) => (us >= 1e6 ? `${us / 1e6} s` : us >= 1000 ? `${Math.round(us / 100) / 10} ms` : `${Math.round(us)} µs`);
  const measured = data.lateness.lateness_us;
  $("lateness-note").textContent = `How late ticks of ${data.tick_ms} ms began${measured ? `: half of them within ${micro(measured.p50)}, 99 % within ${micro(measured.p99)}, all within ${micro(measured.max)}` : ""}. ${many(data.lateness.skipped, "tick was", "ticks were")} jumped over. The bars are on a logarithmic scale.`;
  const most = Math.log1p(Math.max(...data.lateness.bins.map((bin) => bin.ticks), 1));
  for (const bin of data.lateness.bins) {
    const bar = el("i");
    bar.style.width = `${(Math.log1p(bin.ticks) / most) * 100}%`;
    $("lateness").append(el("span", "", `${micro(bin.from_us)} – ${micro(bin.to_us)}`), bar, el("span", "", bin.ticks.toLocaleString("en")));
  }
} else {
  $("lateness-note").textContent = data.live ? "This call was held in real time, and this page made from its journal, which does not say how late ticks were: timing.jsonl of its folder does." : `This call was held in virtual time, in which a tick of ${data.tick_ms} ms takes as long as it takes: nothing was late.`;
}

// ---- Events ---------------------------------------------------------------------------------------

const types = [...new Set(data.events.map((event) => event.type))].sort();
for (const type of types) {
  const option = el("option", "", type);
  option.value = type;
  $("filter-type").append(option);
}
const AT_ONCE = 60;
let showing = AT_ONCE;
const list_events = () => {
  const needle = $("filter-text").value.trim().toLowerCase();
  const type = $("filter-type").value;
  const fits = data.events.filter((event) => {
    if (event.type === "user.transcript" && !event.last && !$("filter-partial").checked) return false;
    if (type && event.type !== type) return false;
    return !needle || `${event.type} ${sentence(event)} ${json(event)}`.toLowerCase().includes(needle);
  });
  const body = el("tbody");
  for (const event of fits.slice(0, showing)) {
    const { seq, tick, ms, type: kind, counterfactual, ...rest } = event;
    body.append(el("tr", counterfactual ? "other" : "", el("td", "n", playsFrom(ms)), el("td", "n zero", String(tick)), el("td", "kind", kind), el("td", "what", sentence(event), " ", el("code", "", json(rest)))));
  }
  const head = el("tr", "", el("th", "n", "at"), el("th", "n", "tick"), el("th", "", "kind"), el("th", "", "what"));
  $("events").replaceChildren(el("thead", "", head), body);
  $("filter-count").textContent = `${fits.length} of ${many(data.events.length, "event")}`;
  $("more").hidden = fits.length <= showing;
  $("more").textContent = `Show ${Math.min(AT_ONCE, fits.length - showing)} more`;
};
const filtered = () => {
  showing = AT_ONCE;
  list_events();
};
for (const id of ["filter-text", "filter-type", "filter-partial"]) $(id).addEventListener("input", filtered);
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("more").addEventListener("click", () => {
  showing += AT_ONCE;
  list_events();
});
list_events();
for (const text of data.left_out) $("left-out").append(el("li", "", `${text}.`));

// ---- Keys, sizes, colours -------------------------------------------------------------------------

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const at = event.target;
  const types = at.closest && at.closest("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (types) return;
  const presses = at.closest && at.closest("button, a, input, [role=button]");
  const jump = event.shiftKey ? 5000 : 1000;
  const acts = { ArrowLeft: () => seek(now() - jump), ArrowRight: () => seek(now() + jump), " ": toggle };
  if (at === scroller) Object.assign(acts, { Home: () => seek(0), End: () => seek(total), "+": () => zoom(scale * 2), "-": () => zoom(scale / 2) });
  if (event.key === " " && presses) return;
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});
$("foot").textContent = `${many(data.ticks, "tick")} of ${data.tick_ms} ms. This page is one file; it loads nothing and sends nothing. Space plays and pauses, the arrow keys move by a second (with Shift by five).`;

const measure = () => {
  const wide = scroller.clientWidth;
  if (!wide) return;
  const whole = !scale || scale <= fit() * 1.001;
  width = wide;
  // A short call is shown whole, of a long one as much as can be made out.
  zoom(!scale ? Math.max(fit(), 0.008) : whole ? 0 : scale);
};
new ResizeObserver(measure).observe(scroller);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
matchMedia("print").addEventListener("change", draw);
narrow.addEventListener("change", () => {
  pile();
  layOut();
  draw();
});
measure();
moved(false);
document.documentElement.dataset.ready = "true";
