// The page draws itself from the data in it. Everything that somebody said, typed or returned is shown as
// text: there is no place in these files where a text becomes markup.
//
// This file has the words, the top of the page and the player; `timeline.js` and `lists.js` follow it in
// the same function of the page.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const total = Math.max(data.call_ms, 1);

// ---- Words ------------------------------------------------------------------------------------

const two = (n) => String(n).padStart(2, "0");
const time = (ms) => {
  if (total < 3600000) return `${(ms / 1000).toFixed(2)} s`;
  const s = Math.floor(ms / 1000);
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}.${two(Math.floor(ms / 10) % 100)}`;
};
const length = (ms) => {
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  const m = Math.floor(s / 60);
  return m < 60 ? `${m} min ${Math.round(s % 60)} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
};
const many = (n, one, more) => `${n.toLocaleString("en")} ${n === 1 ? one : more || one + "s"}`;
const json = (value) => JSON.stringify(value);

// An element with a class, attributes and children; texts become text nodes.
const el = (tag, cls, ...children) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};
const button = (cls, act, ...children) => {
  const node = el("button", cls, ...children);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
};
const playsFrom = (ms, cls = "t", before = "") => {
  const node = button(cls, () => playFrom(ms), before + time(ms));
  node.setAttribute("aria-label", `Play from ${time(ms)}`);
  node.dataset.ms = ms;
  return node;
};
const prose = (pieces) => {
  const p = el("p", "said");
  for (const piece of pieces) {
    if (typeof piece === "string") p.append(piece);
    else if ("at" in piece) p.append(playsFrom(piece.at));
    else if ("name" in piece) p.append(el("b", "", piece.name));
    else if ("quote" in piece) p.append(el("i", "", `“${piece.quote}”`));
    else p.append(el("code", "", piece.code));
  }
  return p;
};

// ---- What happened, in a sentence each ----------------------------------------------------------

// Whose lane it was at each event: another may take it.
const names = new Map();
const whose = new Map();
for (const event of data.events) {
  if (event.type === "user.joined") names.set(event.lane, event.name);
  whose.set(event, names.get(event.lane));
}
const who = (event) => whose.get(event) || `lane ${event.lane}`;
const cause = (c) => (c.intent !== undefined ? `the intent ${c.intent}` : `the result of ${c.tool_result.tool}: ${c.tool_result.condition}`);
const ended = (r) => ({ agent_ended: "the agent ended the call", max_length: "the call reached its longest duration" })[r] || (r && r.hung_up) || json(r);
const outcome = (o) => (o.Done !== undefined ? `answered ${json(o.Done)}` : `failed: ${o.Failed.message}`);
const cutBy = { voice: "by voice", words: "by words", text: "by typed text" };
// By type: the mark's glyph and kind, where it has one, and the sentence.
const KINDS = {
  "session.created": ["▶", "", (e) => `The call begins with ${e.agent}.`],
  "session.ended": ["■", "", (e) => `The call ends: ${ended(e.reason)}.`],
  "user.joined": ["+", "user", (e) => `${e.name} joins.`],
  "user.left": ["−", "user", (e) => `${who(e)} leaves.`],
  "user.speech_started": [null, "", (e) => `${who(e)} begins to speak${e.over_agent ? " over the agent" : ""}.`],
  "user.speech_stopped": [null, "", (e) => `The utterance of ${who(e)} is over: ${e.voiced_ms} ms of voice.`],
  "user.transcript": [null, "", (e) => (e.last ? `The recogniser’s words of ${who(e)}: “${e.text}”, confidence ${e.confidence.toFixed(2)}.` : `So far ${who(e)} has said “${e.text}”.`)],
  "user.message": ["❝", "user", (e) => `${who(e)} ${e.typed ? "typed" : "said"} “${e.text}”: ${e.intent ? `the intent ${e.intent}` : "no intent understood"}.`],
  "user.backchannel": ["~", "user", (e) => `${who(e)} shows attention, “${e.text}”: no turn.`],
  "user.away": ["…", "", () => "Neither side has been heard for long: the caller counts as away."],
  "user.returned": ["…", "user", () => "The caller is heard again."],
  "agent.started": [null, "", (e) => `${e.agent} has the call.`],
  "agent.message": [null, "", (e) => `${e.agent} is about to say “${e.text}”`],
  "agent.speech_started": [null, "", (e) => `Item ${e.item} begins to be heard.`],
  "agent.speech_finished": [null, "", (e) => `Item ${e.item} was heard to its end.`],
  "agent.interrupted": ["×", "cut", (e) => `The agent is cut ${cutBy[e.cause] || ""}, after “${e.spoken.slice(-60)}”.`],
  "agent.resumed": ["↷", "agent", () => "The interruption was false: the agent goes on where it was cut."],
  "tool.called": [null, "", (e) => `${e.name} is called with ${json(e.arguments)}.`],
  "tool.deferred": [null, "", (e) => `${e.name} takes longer than a tick: deferred.`],
  "tool.result": [null, "", (e) => `${e.name} ${outcome(e.outcome)}.`],
  "tool.unexpected": ["!", "bad", (e) => `A result came for call ${e.call}, which nobody awaits.`],
  "transition.executed": ["→", "move", (e) => `${e.from} hands over to ${e.to} because of ${cause(e.cause)}.`],
  "transition.refused": ["!", "bad", (e) => `${e.from} does not hand over to ${e.to}: ${e.reason}.`],
  "recogniser.failed": ["!", "bad", (e) => `The recogniser failed on ${who(e)}: ${e.cause}.`],
  "synthesiser.failed": ["!", "bad", (e) => `The synthesiser failed on item ${e.item}: ${e.cause}.`],
  "tick.skipped": ["!", "bad", (e) => `The clock was so late that ${many(e.count, "tick was", "ticks were")} jumped over.`],
  "limit.reached": ["!", "bad", (e) => `Something was refused: the limit of ${e.limit} is reached.`],
  "journal.lost": ["!", "bad", (e) => `The journal could not be written: ${e.cause || ""}.`],
};
const sentence = (event) => (KINDS[event.type] ? KINDS[event.type][2](event) : json(event));

// ---- The top ------------------------------------------------------------------------------------

$("name").textContent = data.name;
if (data.description) {
  $("description").textContent = data.description;
  $("description").hidden = false;
}
const date = data.date.slice(0, 19).replace("T", " ") + " UTC";
const over = data.events.find((event) => event.type === "session.ended");
const path = data.agents.map((agent) => agent.name);
const facts = [
  [data.live ? "Held" : "Virtual time", data.live ? date : `its clock begins at ${date}`],
  ["Length", length(data.call_ms)],
  ["End", over ? ended(over.reason) : data.end],
  ["Seed", data.seed],
  ["Build", data.build],
];
for (const [name, value] of facts) $("facts").append(el("div", "", el("dt", "", name), el("dd", "", value)));
const fork = data.counterfactual_from_ms;
if (fork !== null) {
  $("fork").append(
    el("b", "", `Counterfactual from ${time(fork)}. `),
    "This call was forked from a recording. Up to there it is what was recorded; from there on (hatched on this page) it goes another way, and nobody has heard it.",
  );
  $("fork").hidden = false;
}
const f = data.figures;
const latency = (l) => (l.count ? [`${l.p50} ms`, `p95 ${l.p95} ms, over ${many(l.count, "answer")}`] : ["–", "nothing of the kind"]);
const spoken = latency(f.response_latency_ms);
const typed = latency(f.typed_response_latency_ms);
const yielded = latency(f.yield_latency_ms);
const late = data.lateness && data.lateness.lateness_us;
const figures = [
  ["Turns of callers", String(f.turns), `the agent spoke up ${many(f.agent_turns, "time")}`],
  ["End of speech → answer, median", spoken[0], spoken[1]],
  f.typed_response_latency_ms.count ? ["Typed → answer, median", typed[0], typed[1]] : null,
  ["Interruptions", String(f.interruptions), `${f.false_interruptions} false, ${many(f.backchannels, "sound")} of attention`],
  f.yield_latency_ms.count ? ["Talked over → silent, median", yielded[0], `p95 ${f.yield_latency_ms.p95} ms`] : null,
  ["Hand-overs", String(f.hand_overs), path.length <= 4 ? path.join(" → ") : `from ${path[0]} to ${path[path.length - 1]}`],
  ["Tool calls", String(f.tool_calls), `${f.deferred} deferred, ${f.tool_failures} failed`],
  f.recogniser_failures + f.synthesiser_failures ? ["Failures of speech", String(f.recogniser_failures + f.synthesiser_failures), `${f.recogniser_failures} hearing, ${f.synthesiser_failures} speaking`] : null,
  late ? ["Lateness of ticks, p99", `${(late.p99 / 1000).toFixed(2)} ms`, `at most ${(late.max / 1000).toFixed(2)} ms`] : data.live ? ["Lateness of ticks", "–", "a journal alone does not say"] : ["Lateness of ticks", "none", "virtual time: nothing was late"],
];
for (const figure of figures) {
  if (!figure) continue;
  const [name, value, sub] = figure;
  $("figures").append(el("div", "", el("dt", "", name), el("dd", "", el("div", "big", value), el("div", "sub", sub))));
}

// ---- Sound --------------------------------------------------------------------------------------

const audio = new Audio();
audio.id = "audio";
let place = 0;
let sounds = data.sound.where !== "none";
const note = (text) => {
  $("sound").textContent = text;
  $("sound").hidden = false;
};
if (data.sound.where === "inside") {
  const raw = atob(data.sound.base64);
  data.sound.base64 = "";
  const bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  audio.preload = "auto";
  audio.src = URL.createObjectURL(new Blob([bytes], { type: data.sound.mime }));
} else if (data.sound.where === "beside") {
  audio.preload = "none";
  audio.src = encodeURIComponent(data.sound.name);
  note(data.sound.why);
} else {
  note(`There is no sound: ${data.sound.why}.`);
}
audio.addEventListener("error", () => {
  if (!sounds) return;
  sounds = false;
  $("play").disabled = true;
  note(data.sound.where === "beside"
    ? `The sound is not there: ${data.sound.name} has to stand beside this page.`
    : `This browser cannot play the sound in this page (${data.sound.mime}). The same is in conversation.wav.`);
});
document.body.append(audio);
$("play").disabled = !sounds;

const now = () => Math.min(place, total);
const play = () => {
  if (!sounds) return;
  held = false;
  audio.play().catch(() => {});
};
const toggle = () => (audio.paused ? play() : audio.pause());
const seek = (ms) => {
  place = Math.max(0, Math.min(ms, total));
  if (sounds) audio.currentTime = place / 1000;
  held = false;
  moved(true);
};
function playFrom(ms) {
  seek(ms);
  play();
}
const step = () => {
  if (!sounds) return;
  place = audio.currentTime * 1000;
  moved(false);
  if (!audio.paused) requestAnimationFrame(step);
};
audio.addEventListener("play", () => {
  document.body.classList.add("playing");
  $("play").setAttribute("aria-label", "Pause");
  requestAnimationFrame(step);
});
audio.addEventListener("pause", () => {
  document.body.classList.remove("playing");
  $("play").setAttribute("aria-label", "Play");
});
$("play").addEventListener("click", toggle);
const slider = $("seek");
slider.max = total;
slider.addEventListener("input", () => seek(Number(slider.value)));

// Everything that follows the place.
function moved(jumped) {
  $("clock").textContent = `${time(now())} / ${time(total)}`;
  slider.value = now();
  slider.setAttribute("aria-valuetext", time(now()));
  $("head").style.transform = `translateX(${now() * scale}px)`;
  keepInView(jumped);
  markLines(jumped);
}
