//! Keys, and what they come to.
//!
//! **Invariant:** the end can be asked for in every mode.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::super::super::remark::plain;
use super::Screen;

/// What a key comes to, beyond the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Act {
    Type(String),
    Interrupt,
    /// Nothing of the microphone is passed on, or everything.
    Mute(bool),
    Quit,
}

/// What is done with the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mic {
    Open,
    Muted,
    /// It is open while a key is held, or until it is pressed again.
    PushToTalk {
        talks: bool,
    },
}

/// What is being typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typing {
    pub(super) text: String,
    /// Where the next character goes, in bytes.
    pub(super) at: usize,
}

impl Typing {
    fn insert(&mut self, text: &str, max: usize) {
        let room = max.saturating_sub(self.text.chars().count());
        let text: String = plain(text).chars().take(room).collect();
        self.text.insert_str(self.at, &text);
        self.at += text.len();
    }

    /// Where the character before the cursor begins.
    fn before(&self) -> usize {
        self.text[..self.at].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn key(&mut self, code: KeyCode, control: bool) {
        match code {
            KeyCode::Backspace => {
                let from = self.before();
                self.text.drain(from..self.at);
                self.at = from;
            }
            KeyCode::Delete => {
                let next = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
                self.text.drain(self.at..self.at + next);
            }
            KeyCode::Left => self.at = self.before(),
            KeyCode::Right => {
                self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
            }
            KeyCode::Home => self.at = 0,
            KeyCode::Char('a') if control => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            KeyCode::Char('e') if control => self.at = self.text.len(),
            KeyCode::Char('u') if control => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            KeyCode::Char('w') if control => {
                let before = self.text[..self.at].trim_end();
                let from = before.rfind(' ').map_or(0, |at| at + 1);
                self.text.drain(from..self.at);
                self.at = from;
            }
            _ => {}
        }
    }
}

impl Screen {
    /// Takes text that was pasted.
    pub(in super::super) fn pasted(&mut self, text: &str) {
        self.changed = true;
        let max = self.text_max;
        self.typing.get_or_insert_default().insert(text, max);
    }

    /// Takes a key.
    pub(in super::super) fn key(&mut self, key: KeyEvent) -> Option<Act> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        // What was typed before the terminal was taken ends its lines in another way.
        let key = match key.code {
            KeyCode::Char('j') if control => KeyEvent { code: KeyCode::Enter, ..key },
            _ => key,
        };
        let is_space = key.code == KeyCode::Char(' ') && self.typing.is_none();
        match key.kind {
            KeyEventKind::Release if is_space => return self.let_go(),
            KeyEventKind::Release => return None,
            // A held key talks on; it neither begins nor ends anything.
            KeyEventKind::Repeat if is_space => return None,
            KeyEventKind::Press | KeyEventKind::Repeat => {}
        }
        self.changed = true;
        if control && key.code == KeyCode::Char('c') {
            return Some(Act::Quit);
        }
        if self.scroll(key.code, control) {
            return None;
        }
        self.hint = None;
        match &self.typing {
            Some(typing) if control && key.code == KeyCode::Char('d') && typing.text.is_empty() => {
                Some(Act::Quit)
            }
            Some(_) => self.type_key(key.code, control),
            None => self.command(key.code),
        }
    }

    fn type_key(&mut self, code: KeyCode, control: bool) -> Option<Act> {
        let max = self.text_max;
        let typing = self.typing.as_mut()?;
        match code {
            KeyCode::Esc => self.typing = None,
            KeyCode::Enter => {
                let text = std::mem::take(typing).text;
                // Without a microphone, one goes on typing.
                if self.look.audio {
                    self.typing = None;
                }
                self.top = None;
                return (!text.trim().is_empty()).then_some(Act::Type(text));
            }
            KeyCode::Char(c) if !control => typing.insert(c.encode_utf8(&mut [0; 4]), max),
            code => typing.key(code, control),
        }
        None
    }

    fn command(&mut self, code: KeyCode) -> Option<Act> {
        match code {
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('t') | KeyCode::Enter => self.typing = Some(Typing::default()),
            KeyCode::Char('i') | KeyCode::Esc => {
                if self.firm {
                    self.hint = Some(
                        "nobody may interrupt here: the configuration has `turn.barge_in: false`"
                            .to_owned(),
                    );
                    return None;
                }
                return Some(Act::Interrupt);
            }
            KeyCode::Char('m' | ' ') if !self.look.audio => {
                self.hint = Some("there is no microphone with --text".to_owned());
            }
            KeyCode::Char('m') => {
                return self.set_mic(if self.mic.is_open() { Mic::Muted } else { Mic::Open });
            }
            KeyCode::Char(' ') => {
                let talks = !matches!(self.mic, Mic::PushToTalk { talks: true });
                return self.set_mic(Mic::PushToTalk { talks });
            }
            KeyCode::Char('q') => return Some(Act::Quit),
            _ => {}
        }
        None
    }

    /// The key is let go that talks while it is held.
    fn let_go(&mut self) -> Option<Act> {
        if self.mic != (Mic::PushToTalk { talks: true }) {
            return None;
        }
        self.set_mic(Mic::PushToTalk { talks: false })
    }

    fn set_mic(&mut self, mic: Mic) -> Option<Act> {
        self.changed = true;
        let before = std::mem::replace(&mut self.mic, mic);
        (before.is_open() != mic.is_open()).then_some(Act::Mute(!mic.is_open()))
    }

    /// Looks at what was said before. Whether the key was one for that.
    fn scroll(&mut self, code: KeyCode, control: bool) -> bool {
        let (rows, shown) = self.drawn.get();
        let last = rows.saturating_sub(shown);
        let page = shown.saturating_sub(1).max(1);
        let top = self.top.unwrap_or(last);
        let top = match code {
            KeyCode::PageUp => top.saturating_sub(page),
            KeyCode::PageDown => top + page,
            KeyCode::Home if control => 0,
            KeyCode::End if control => last,
            KeyCode::Up => top.saturating_sub(1),
            KeyCode::Down => top + 1,
            _ => return false,
        };
        self.top = (top < last).then_some(top);
        true
    }

    /// The end was asked for; once more ends the call at once.
    pub(in super::super) fn leaving(&mut self) {
        self.changed = true;
        self.hint = Some("the agent says goodbye; q or ctrl-c once more leaves at once".to_owned());
        // So that `q` is a key again.
        self.typing = None;
    }

    /// Says something for the moment.
    pub(in super::super) fn say(&mut self, hint: &str) {
        self.changed = true;
        self.hint = Some(plain(hint));
    }
}

impl Mic {
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::PushToTalk { talks: true })
    }
}
