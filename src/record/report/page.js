"use strict";
// The page draws itself from the data in it. Everything that somebody said, typed or returned is shown as
// text: there is no place here where a text becomes markup.
(() => {
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

  const names = new Map();
  for (const event of data.events) if (event.type === "user.joined") names.set(event.lane, event.name);
  const who = (event) => names.get(event.lane) || `lane ${event.lane}`;
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
    late ? ["Lateness of ticks, p99", `${(late.p99 / 1000).toFixed(2)} ms`, `at most ${(late.max / 1000).toFixed(2)} ms`] : ["Lateness of ticks", "none", "virtual time: nothing was late"],
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
      : "This browser cannot play the sound in this page (Ogg Opus). The same is in conversation.wav.");
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

  // ---- The timeline -------------------------------------------------------------------------------

  const scroller = $("scroller");
  const canvas = $("canvas");
  const layer = $("layer");
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const tracks = data.tracks.map((track) => ({ ...track, cells: bytes(track.cells) }));
  const cells = Math.ceil(total / data.cell_ms);
  // Where a caller and the agent are heard at once.
  const overlap = new Uint8Array(cells + 1);
  const agentCells = tracks[tracks.length - 1].cells;
  for (const track of tracks) {
    if (track.side !== "user") continue;
    for (let at = 0; at < track.cells.length; at++) if (track.cells[at] & agentCells[at] & 0x80) overlap[at] = 1;
  }

  // Calls beside each other get rows of their own.
  const ends = [];
  for (const call of data.calls) {
    const to = call.to_ms === null ? total : call.to_ms;
    let row = ends.findIndex((end) => end <= call.from_ms);
    if (row < 0) row = ends.length < 4 ? ends.length : 3;
    ends[row] = to + 10;
    call.row = row;
  }
  // Rows from top to bottom. On a narrow screen their names stand above what is in them.
  const rows = tracks.map((track) => (track.place = { name: track.name, tall: 72, cls: track.side, lift: 0 }));
  const row = (name, tall) => {
    rows.push({ name, tall, cls: "plain", lift: 18 });
    return rows[rows.length - 1];
  };
  const agentsRow = row("active agent", 36);
  const toolsRow = data.calls.length ? row("tools", 12 + 34 * ends.length) : null;
  const eventsRow = row("events", 62);
  const narrow = matchMedia("(max-width: 640px)");
  let height = 0;
  function pile() {
    height = 26;
    $("labels").replaceChildren();
    for (const row of rows) {
      row.top = height;
      row.inner = height + (narrow.matches ? row.lift : 0);
      height = row.inner + row.tall;
      const label = el("div", row.cls, row.name);
      label.style.top = `${row.top}px`;
      $("labels").append(label);
    }
    $("space").style.height = `${height}px`;
  }
  pile();

  let scale = 0; // pixels of a millisecond
  let width = 0;
  let held = false; // the reader has scrolled away
  const fit = () => width / total;
  const finest = () => Math.min(0.4, 8e6 / total);

  function zoom(to, around = now()) {
    const at = around * scale - scroller.scrollLeft;
    scale = Math.max(fit(), Math.min(to, Math.max(finest(), fit())));
    $("space").style.width = `${Math.max(width, Math.floor(total * scale))}px`;
    scroller.scrollLeft = around * scale - at;
    layOut();
    draw();
    moved(false);
  }
  const middle = () => {
    const x = now() * scale - scroller.scrollLeft;
    return x >= 0 && x <= width ? now() : (scroller.scrollLeft + width / 2) / scale;
  };
  $("zoom-in").addEventListener("click", () => zoom(scale * 2, middle()));
  $("zoom-out").addEventListener("click", () => zoom(scale / 2, middle()));
  $("zoom-fit").addEventListener("click", () => zoom(0));
  scroller.addEventListener("wheel", (event) => {
    held = true;
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const x = event.clientX - scroller.getBoundingClientRect().left;
    zoom(scale * Math.exp(-event.deltaY / 200), (scroller.scrollLeft + x) / scale);
  }, { passive: false });
  scroller.addEventListener("touchmove", () => (held = true), { passive: true });
  scroller.addEventListener("scroll", () => {
    layOut();
    draw();
  });
  $("space").addEventListener("click", (event) => {
    if (event.target.closest("button")) return;
    playFrom((event.clientX - $("space").getBoundingClientRect().left) / scale);
  });

  function keepInView(jumped) {
    if (held || (audio.paused && !jumped)) return;
    const x = now() * scale;
    const from = scroller.scrollLeft;
    if (x < from || x > from + width - 24) scroller.scrollLeft = x - width / 8;
  }

  // Buttons on the timeline; only those in view are there.
  const things = [];
  const told = (title, text) => ({ title, text });
  for (const agent of data.agents) {
    things.push({ from: agent.from_ms, to: agent.to_ms, make: () => {
      const node = button("span", () => playFrom(agent.from_ms), el("b", "", agent.name));
      return tells(node, told(agent.name, `has the call from ${time(agent.from_ms)} to ${time(agent.to_ms)}`));
    }, lay: (node, x, wide) => {
      Object.assign(node.style, { left: `${x}px`, width: `${Math.max(3, wide - 1)}px`, top: `${agentsRow.inner + 6}px` });
    } });
  }
  for (const call of data.calls) {
    const to = call.to_ms === null ? total : call.to_ms;
    const state = `${call.deferred ? " deferred" : ""}${call.failure ? " failed" : ""}`;
    // Two lines beside the bar: which tool, and what became of it, as far as there is room.
    const fate = [call.deferred ? "deferred" : null, call.failure ? "failed" : null].filter(Boolean).join(", ");
    const fates = call.failure ? [`${fate}: ${call.failure}`, fate] : [fate];
    const result = call.failure ? `It failed: ${call.failure}.` : call.to_ms === null ? "No result came." : `The result: ${json(call.result)}.`;
    const after = call.to_ms === null ? "" : ` after ${call.to_ms - call.from_ms} ms`;
    const text = `${call.agent} called it at ${time(call.from_ms)} with ${json(call.arguments)}. ${call.deferred ? "It took longer than a tick: deferred, and the sound went on meanwhile. " : ""}${result}${after ? ` It came${after}.` : ""}`;
    const top = () => `${toolsRow.inner + 6 + 34 * call.row}px`;
    things.push({ from: call.from_ms, to, make: () => tells(button(`bar${state}`, () => seek(call.from_ms)), told(call.tool, text)), lay: (node, x, wide) => {
      Object.assign(node.style, { left: `${x}px`, width: `${Math.max(8, wide)}px`, top: top() });
    } });
    things.push({ from: call.from_ms, to, make: () => el("span", `bar-text${state}`, el("b", "", call.tool), el("span", "")), lay: (node, x, wide, room) => {
      Object.assign(node.style, { left: `${x + Math.max(8, wide) + 5}px`, top: top() });
      const fits = (text) => text.length * 6.2 + 16 < room;
      node.firstChild.textContent = fits(call.tool) ? call.tool : "";
      node.lastChild.textContent = fates.find(fits) || "";
    }, next: () => {
      const later = data.calls.filter((other) => other.row === call.row && other.from_ms > call.from_ms);
      return later.length ? later[0].from_ms : total + 1e9;
    } });
  }
  const seen = new Set();
  for (const event of data.events) {
    const kind = KINDS[event.type] || ["!", "", json];
    const key = `${event.type} ${event.tick}`;
    if (kind[0] === null || (event.type === "agent.interrupted" && seen.has(key))) continue;
    seen.add(key);
    things.push({ from: event.ms, to: event.ms, mark: true, make: () => {
      const node = button(`mark ${kind[1]}`, () => seek(event.ms), kind[0]);
      return tells(node, told(`${time(event.ms)} · ${event.type}`, sentence(event)));
    }, lay: (node, x, wide, room, lift) => {
      Object.assign(node.style, { left: `${Math.max(9, Math.min(x, total * scale - 9))}px`, top: `${eventsRow.inner + 6 + 18 * lift}px` });
    } });
  }
  const agentTrack = tracks[tracks.length - 1].place;
  data.interruptions.forEach((cut) => {
    things.push({ from: cut.at_ms, to: cut.at_ms, flag: true, make: () => el("span", `flag${cut.void ? " void" : ""}`, cut.void ? "cut, then went on" : "cut"), lay: (node, x, wide, room, lift) => {
      Object.assign(node.style, { left: `${x + 1}px`, top: `${agentTrack.top + 3 + 17 * lift}px` });
    } });
  });
  if (fork !== null) {
    things.push({ from: fork, to: total, make: () => el("span", "flag fork-flag", `counterfactual from ${time(fork)}`), lay: (node, x) => {
      Object.assign(node.style, { left: `${x + 2}px`, top: "4px" });
    } });
  }

  function layOut() {
    const from = scroller.scrollLeft / scale - width / scale;
    const to = from + (3 * width) / scale;
    const lifted = { mark: [-99, -99, -99], flag: [-999, -999, -999] };
    let shown = 0;
    for (const thing of things) {
      const x = thing.from * scale;
      let lift = 0;
      const kind = thing.mark ? "mark" : thing.flag ? "flag" : null;
      if (kind) {
        // Those that would cover each other are stacked.
        const ends = lifted[kind];
        lift = ends.findIndex((last) => x - last >= (thing.mark ? 19 : 116));
        if (lift < 0) lift = ends.indexOf(Math.min(...ends));
        ends[lift] = x;
      }
      const inView = thing.to >= from && thing.from <= to && shown < 600;
      if (!inView) {
        if (thing.node && thing.node !== document.activeElement) {
          thing.node.remove();
          thing.node = null;
        }
        continue;
      }
      shown++;
      if (!thing.node) {
        thing.node = thing.make();
        layer.append(thing.node);
      }
      thing.lay(thing.node, x, (thing.to - thing.from) * scale, thing.next ? (thing.next() - thing.to) * scale : 0, lift);
    }
  }

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function draw() {
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const left = scroller.scrollLeft;
    const x = (ms) => ms * scale - left;
    const first = left / scale;
    const last = (left + width) / scale;
    const line = color("--line");
    const bottom = rows[rows.length - 1].top;

    if (fork !== null && fork < last) {
      const from = Math.max(0, x(fork));
      pen.fillStyle = color("--fork");
      pen.fillRect(from, 0, width - from, height);
      pen.save();
      pen.beginPath();
      pen.rect(from, 0, width - from, height);
      pen.clip();
      pen.strokeStyle = color("--move");
      pen.globalAlpha = 0.22;
      pen.lineWidth = 1;
      const shift = left % 12;
      for (let at = -height - 12; at < width + 12; at += 12) {
        pen.beginPath();
        pen.moveTo(at - shift, height);
        pen.lineTo(at - shift + height, 0);
        pen.stroke();
      }
      pen.restore();
    }

    // Both at once.
    pen.fillStyle = color("--overlap");
    const top = tracks[0].place.top;
    const under = agentsRow.top;
    for (let at = Math.max(0, Math.floor(first / data.cell_ms)); at < cells && at * data.cell_ms < last; at++) {
      if (!overlap[at]) continue;
      let to = at;
      while (overlap[to]) to++;
      pen.fillRect(x(at * data.cell_ms), top, Math.max(1, (to - at) * data.cell_ms * scale), under - top);
      at = to;
    }

    // The ruler.
    const steps = [100, 200, 500, 1000, 2000, 5000, 10000, 20000, 30000, 60000, 120000, 300000, 600000, 1800000, 3600000];
    const every = steps.find((ms) => ms * scale >= 72) || 7200000;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let ms = Math.floor(first / every) * every; ms <= last && ms <= total; ms += every) {
      const at = Math.round(x(ms)) + 0.5;
      pen.strokeStyle = line;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(at, 18);
      pen.lineTo(at, height);
      pen.stroke();
      pen.fillStyle = color("--faint");
      const s = ms / 1000;
      const label = total < 600000 ? `${every < 1000 ? s.toFixed(1) : s} s` : `${total >= 3600000 ? `${Math.floor(s / 3600)}:` : ""}${two(Math.floor(s / 60) % 60)}:${two(Math.floor(s % 60))}`;
      if (at + 4 < width && !(fork !== null && ms > fork && x(ms) < x(fork) + 170)) pen.fillText(label, at + 4, 11);
    }
    for (const { top } of rows) {
      pen.strokeStyle = line;
      pen.beginPath();
      pen.moveTo(0, top + 0.5);
      pen.lineTo(width, top + 0.5);
      pen.stroke();
    }

    // Waveforms, and below each the speech in them.
    for (const track of tracks) {
      const { top, tall } = track.place;
      const base = top + (tall - 12) / 2 + 2;
      const most = (tall - 20) / 2;
      const strong = color(track.side === "user" ? "--user" : "--agent");
      const weak = color(track.side === "user" ? "--user-soft" : "--agent-soft");
      const speech = top + tall - 9;
      for (let px = 0; px < width; px += 3) {
        const from = Math.floor((left + px) / scale / data.cell_ms);
        const to = Math.max(from + 1, Math.floor((left + px + 3) / scale / data.cell_ms));
        if (from >= track.cells.length) break;
        let loud = 0;
        let voiced = false;
        for (let at = from; at < to && at < track.cells.length; at++) {
          loud = Math.max(loud, track.cells[at] & 0x7f);
          voiced = voiced || track.cells[at] > 0x7f;
        }
        pen.fillStyle = voiced ? strong : weak;
        const half = Math.max(0.5, Math.pow(loud / 127, 1.4) * most);
        pen.fillRect(px, base - half, 2, 2 * half);
        if (voiced) pen.fillRect(px, speech, 3, 4);
      }
    }

    // Interruptions and hand-overs across it all.
    for (const cut of data.interruptions) {
      if (cut.at_ms < first || cut.at_ms > last) continue;
      pen.strokeStyle = color("--cut");
      pen.lineWidth = 2;
      pen.setLineDash(cut.void ? [4, 3] : []);
      pen.beginPath();
      pen.moveTo(x(cut.at_ms), top);
      pen.lineTo(x(cut.at_ms), under);
      pen.stroke();
    }
    for (const move of data.hand_overs) {
      if (move.void || move.at_ms < first || move.at_ms > last) continue;
      pen.strokeStyle = color("--move");
      pen.lineWidth = 1.5;
      pen.setLineDash([2, 3]);
      pen.beginPath();
      pen.moveTo(x(move.at_ms), 18);
      pen.lineTo(x(move.at_ms), bottom);
      pen.stroke();
    }
    pen.setLineDash([]);
  }
  const legend = (id, entries) => {
    for (const [paint, text] of entries) {
      const swatch = el("i");
      if (paint.startsWith(".")) swatch.className = paint.slice(1);
      else swatch.style.background = paint;
      $(id).append(el("li", "", swatch, text));
    }
  };
  legend("legend", [
    ["var(--user)", "a caller speaks"],
    ["var(--agent)", "the agent speaks"],
    ["var(--overlap)", "both at once"],
    ["var(--cut)", "the agent is cut"],
    ["var(--move)", "hand-over"],
    ...(data.calls.some((call) => call.deferred) ? [["repeating-linear-gradient(-45deg, var(--tool) 0 3px, transparent 3px 6px)", "a deferred tool call"]] : []),
    ...(data.calls.some((call) => call.failure) ? [["var(--bad)", "a failed tool call"]] : []),
  ]);

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
    $("lateness-note").textContent = `This call was held in virtual time, in which a tick of ${data.tick_ms} ms takes as long as it takes: nothing was late.`;
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
    const presses = at.closest && at.closest("button, a, input");
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
})();
