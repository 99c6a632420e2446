//! The screen, drawn: header, meters, what is said, what is typed, keys and figures.
//!
//! ```text
//! demo  front_desk  speaking  floor: agent                      0:12
//! you   ██████████▌·········┃·········  -18 dB
//! agent ████████████████····┃·········   -9 dB
//! ──────────────────────────────────────────────────────────────────
//!  0:02 front_desk: Welcome to the corner shop. How can I help you?
//! ──────────────────────────────────────────────────────────────────
//! > what are your opening hours_
//! t type  i interrupt  m mute  space talk  q quit  ? help
//! late p50 0.05 p99 0.31 max 1.20 ms  skipped 0
//! ```
//!
//! **Invariant:** it fits into whatever room there is; what does not is left out from the edges inward, and what is said
//! stays longest.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::super::remark::{Remark, name};
use super::keys::{Mic, Typing};
use super::level::{FLOOR_DB, Meter};
use super::wrap::{columns, wrap};
use super::{Came, Entry, Fate, Screen, What};
use crate::clock::Tick;
use crate::session::output::AgentState;

/// Columns below which there is no time beside what is said.
const NARROW: u16 = 50;

/// The keys, and what they do.
const KEYS: [(&str, &str); 9] = [
    ("t or Enter", "types a text; Enter says it, Esc leaves it"),
    ("i or Esc", "the agent stops, and does not go on"),
    ("m", "mutes the microphone, or opens it"),
    ("space", "push to talk: held, or pressed to begin and to end"),
    ("PageUp, PageDown", "what was said before, and after"),
    ("Up, Down", "the same, row by row"),
    ("Ctrl-End", "back to the end"),
    ("q or Ctrl-C", "ends the call: the agent says goodbye; once more: at once"),
    ("?", "this help"),
];

/// Those for which there has to be a microphone.
const OF_SOUND: [&str; 2] = ["m", "space"];

/// What stands where.
struct Places {
    header: Rect,
    meters: Option<(Rect, Rect)>,
    rules: Option<(Rect, Rect)>,
    talk: Rect,
    input: Option<Rect>,
    keys: Option<Rect>,
    figures: Option<Rect>,
}

impl Places {
    fn of(area: Rect, audio: bool) -> Self {
        let row = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
        let height = area.height;
        let mut top = 1;
        let meters = (audio && height >= 8).then(|| {
            top += 2;
            (row(1), row(2))
        });
        let mut bottom = height;
        let mut below = |wanted: bool| {
            wanted.then(|| {
                bottom -= 1;
                row(bottom)
            })
        };
        let figures = below(height >= 12);
        let keys = below(height >= 6);
        let input = below(height >= 3);
        let rules = (height >= 14).then(|| {
            top += 1;
            bottom -= 1;
            (row(top - 1), row(bottom))
        });
        let top = top.min(height);
        let talk = Rect::new(area.x, area.y + top, area.width, bottom.saturating_sub(top));
        let header = Rect::new(area.x, area.y, area.width, height.min(1));
        Self { header, meters, rules, talk, input, keys, figures }
    }
}

impl Screen {
    /// Draws it.
    pub(in super::super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width == 0 || area.height == 0 {
            return;
        }
        let places = Places::of(area, self.look.audio);
        self.draw_header(frame, places.header);
        if let Some((you, them)) = places.meters {
            let open = self.mic.is_open();
            draw_line(frame, you, self.meter("you", &self.you, Color::Cyan, !open, area.width));
            draw_line(
                frame,
                them,
                self.meter("agent", &self.them, Color::Green, false, area.width),
            );
        }
        if self.help {
            draw_rows(frame, places.talk, self.help_rows(places.talk.width));
        } else {
            self.draw_talk(frame, places.talk);
        }
        if let Some((above, below)) = places.rules {
            let rule = "─".repeat(usize::from(area.width));
            let dim = self.dim();
            draw_line(frame, above, Line::styled(rule.clone(), dim));
            let mark = if self.top.is_some() { "── more below: PageDown " } else { "" };
            let rest: String = rule.chars().skip(columns(mark)).collect();
            draw_line(frame, below, Line::styled(format!("{mark}{rest}"), dim));
        }
        if let Some(input) = places.input {
            self.draw_input(frame, input);
        }
        if let Some(keys) = places.keys {
            draw_line(frame, keys, self.keys_line());
        }
        if let Some(figures) = places.figures {
            draw_line(frame, figures, Line::styled(self.figures(), self.dim()));
        }
    }

    fn draw_header(&self, frame: &mut Frame<'_>, place: Rect) {
        let time = clock(self, self.now);
        let state = match self.state {
            AgentState::Listening => self.dim(),
            AgentState::Thinking => self.color(Color::Yellow),
            AgentState::Speaking => self.color(Color::Green),
        };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let line = Line::from(vec![
            Span::styled(self.title.clone(), bold),
            Span::raw("  "),
            Span::styled(self.agent.clone(), self.color(Color::Green).add_modifier(Modifier::BOLD)),
            Span::raw("  "),
            Span::styled(self.state.as_str(), state),
            Span::styled(format!("  floor: {}", self.floor()), self.dim()),
        ]);
        draw_line(frame, place, line);
        let width = columns(&time) as u16 + 1;
        if width < place.width {
            let at = Rect::new(place.x + place.width - width, place.y, width, place.height);
            draw_line(frame, at, Line::from(format!(" {time}")));
        }
    }

    /// A level: filled up to it, with a mark where the loudest was.
    fn meter(
        &self,
        who: &'static str,
        meter: &Meter,
        color: Color,
        shut: bool,
        width: u16,
    ) -> Line<'static> {
        let mark = match self.mic {
            _ if who != "you" => "",
            Mic::Open => "",
            Mic::Muted => "  muted",
            Mic::PushToTalk { talks: true } => "  push to talk: open",
            Mic::PushToTalk { talks: false } => "  push to talk: closed",
        };
        let figure = if meter.level_db <= FLOOR_DB {
            "  -∞ dB".to_owned()
        } else {
            format!(" {:>3.0} dB", meter.level_db)
        };
        let room = usize::from(width).saturating_sub(6 + columns(&figure) + columns(mark));
        let cells = room.min(60);
        let at = |db: f32| ((db - FLOOR_DB) / -FLOOR_DB * cells as f32).round() as usize;
        let (level, peak) = (at(meter.level_db), at(meter.peak_db).saturating_sub(1));
        let bar: String = (0..cells)
            .map(|cell| match cell {
                _ if cell == peak && meter.peak_db > FLOOR_DB && cell >= level => '┃',
                _ if cell < level => '█',
                _ => '·',
            })
            .collect();
        let style = if shut { self.dim() } else { self.color(color) };
        Line::from(vec![
            Span::styled(format!("{who:<6}"), self.color(color)),
            Span::styled(bar, style),
            Span::raw(figure),
            Span::styled(mark, self.color(Color::Yellow).add_modifier(Modifier::BOLD)),
        ])
    }

    fn draw_talk(&self, frame: &mut Frame<'_>, place: Rect) {
        let mut rows = Vec::new();
        for entry in &self.entries {
            self.rows(entry, place.width, &mut rows);
        }
        if let Some((lane, text)) = &self.hearing {
            let who = name(&self.names, *lane);
            let pieces = [
                (self.margin(self.now, place.width), self.dim()),
                (format!("{who}: "), self.color(Color::Cyan)),
                (format!("{text} …"), self.dim()),
            ];
            wrap(&pieces, usize::from(place.width), self.indent(place.width), &mut rows);
        }
        let shown = usize::from(place.height);
        self.drawn.set((rows.len(), shown));
        let last = rows.len().saturating_sub(shown);
        let top = self.top.map_or(last, |top| top.min(last));
        draw_rows(frame, place, rows.into_iter().skip(top));
    }

    /// The rows of an entry.
    fn rows(&self, entry: &Entry, width: u16, rows: &mut Vec<Line<'static>>) {
        let dim = self.dim();
        let bold = |color| self.color(color).add_modifier(Modifier::BOLD);
        let plain = Style::new();
        let warn = self.color(Color::Yellow);
        let deed = self.color(Color::Magenta);
        let mut pieces = vec![(self.margin(entry.at, width), dim)];
        match &entry.what {
            What::Heard { who, text, meant } => {
                pieces.push((format!("{who}: "), bold(Color::Cyan)));
                pieces.push((text.clone(), plain));
                pieces.extend(meant.as_ref().map(|meant| (format!("  → {meant}"), dim)));
            }
            What::Spoken { who, text, said, fate } => {
                pieces.push((format!("{who}: "), bold(Color::Green)));
                let (spoken, rest) = text.split_at(*said);
                pieces.push((spoken.trim_end().to_owned(), plain));
                match fate {
                    Fate::Said => {}
                    Fate::Saying => pieces.push((" …".to_owned(), dim)),
                    Fate::Cut => {
                        pieces.push((" [cut]".to_owned(), warn));
                        let rest = rest.trim_start();
                        if !rest.is_empty() {
                            pieces.push((format!(" {rest}"), dim));
                        }
                    }
                }
            }
            What::Tool { name, arguments, came } => {
                pieces.push(("tool ".to_owned(), deed));
                pieces.push((format!("{name}({arguments})"), plain));
                match came {
                    Came::Nothing { deferred: false } => pieces.push((" …".to_owned(), dim)),
                    Came::Nothing { deferred: true } => {
                        pieces.push((" … takes longer than a tick".to_owned(), dim));
                    }
                    Came::Value(value, ms) => {
                        pieces.push((format!(" → {value}"), plain));
                        pieces.push((format!("  after {ms} ms"), dim));
                    }
                    Came::Failure(why, ms) => {
                        pieces.push((format!(" → failed: {why}"), warn));
                        pieces.push((format!("  after {ms} ms"), dim));
                    }
                }
            }
            What::Told(Remark::Aside(text)) => pieces.push((text.clone(), dim)),
            What::Told(Remark::Warning(text)) => pieces.push((text.clone(), warn)),
            What::Told(Remark::Deed(what, text, beside)) => {
                pieces.push((format!("{what} "), deed));
                pieces.push((text.clone(), plain));
                if !beside.is_empty() {
                    pieces.push((format!("  {beside}"), dim));
                }
            }
        }
        wrap(&pieces, usize::from(width), self.indent(width), rows);
    }

    /// When it was, where there is room for that.
    fn margin(&self, at: Tick, width: u16) -> String {
        if width < NARROW { String::new() } else { format!("{:>5} ", clock(self, at)) }
    }

    const fn indent(&self, width: u16) -> usize {
        if width < NARROW { 2 } else { 6 }
    }

    fn draw_input(&self, frame: &mut Frame<'_>, place: Rect) {
        if let Some(hint) = &self.hint {
            let style = self.color(Color::Yellow).add_modifier(Modifier::BOLD);
            return draw_line(frame, place, Line::styled(hint.clone(), style));
        }
        let Some(Typing { text, at }) = &self.typing else {
            return draw_line(frame, place, Line::styled("t to type", self.dim()));
        };
        // As much of it as there is room for, up to the cursor at least.
        let room = usize::from(place.width).saturating_sub(3);
        let (mut from, mut seen) = (*at, 0);
        for (index, c) in text[..*at].char_indices().rev() {
            seen += columns(c.encode_utf8(&mut [0; 4]));
            if seen > room {
                break;
            }
            from = index;
        }
        let before = columns(&text[from..*at]) as u16;
        let line = Line::from(vec![
            Span::styled("> ", self.color(Color::Cyan)),
            Span::raw(text[from..].to_owned()),
        ]);
        draw_line(frame, place, line);
        let x = place.x + (2 + before).min(place.width.saturating_sub(1));
        frame.set_cursor_position(Position::new(x, place.y));
    }

    fn keys_line(&self) -> Line<'static> {
        let talk = if self.look.releases { "space held talks" } else { "space talk" };
        let keys: &[&str] = match (&self.typing, self.look.audio) {
            (Some(_), _) => &["Enter says it", "Esc leaves it", "PageUp back", "Ctrl-C quit"],
            (None, true) => {
                &["t type", "i interrupt", "m mute", talk, "q quit", "? help", "PageUp back"]
            }
            (None, false) => &["t type", "i interrupt", "q quit", "? help", "PageUp back"],
        };
        Line::from(keys.join("  "))
    }

    fn figures(&self) -> String {
        let ms = |us: u32| format!("{:.2}", f64::from(us) / 1_000.0);
        let late = self.lateness.figures.map_or_else(
            || "late …".to_owned(),
            |it| format!("late p50 {} p99 {} max {} ms", ms(it.p50), ms(it.p99), ms(it.max)),
        );
        let mut told = format!("{late}  skipped {}", self.lateness.skipped);
        if !self.gauges.is_empty() {
            told = format!("{told}  {}", self.gauges);
        }
        told
    }

    fn help_rows(&self, width: u16) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let audio = self.look.audio;
        for (key, does) in KEYS.into_iter().filter(|(key, _)| audio || !OF_SOUND.contains(key)) {
            let pieces = [
                (format!("{key:<17}"), self.color(Color::Cyan).add_modifier(Modifier::BOLD)),
                (does.to_owned(), Style::new()),
            ];
            wrap(&pieces, usize::from(width), 17, &mut rows);
        }
        rows
    }

    fn color(&self, color: Color) -> Style {
        if self.look.color { Style::new().fg(color) } else { Style::new() }
    }

    const fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// How long the call had lasted then.
fn clock(screen: &Screen, at: Tick) -> String {
    let seconds = screen.len.start_ms(at) / 1_000;
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn draw_line(frame: &mut Frame<'_>, place: Rect, line: Line<'static>) {
    frame.render_widget(Paragraph::new(line), place);
}

fn draw_rows(frame: &mut Frame<'_>, place: Rect, rows: impl IntoIterator<Item = Line<'static>>) {
    let rows: Vec<_> = rows.into_iter().take(usize::from(place.height)).collect();
    frame.render_widget(Paragraph::new(rows), place);
}
