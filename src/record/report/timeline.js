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
