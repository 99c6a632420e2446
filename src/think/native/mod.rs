//! Models that hear and speak by themselves: audio in, audio and calls of tools out.
//!
//! ```text
//! server's text ──▶ realtime ──▶ NativeEvent* ──▶ Adapter ──▶ exactly one tick of audio, words, calls
//! client's text ◀── realtime ◀── what was really played, results of calls, the user's audio
//! ```
//!
//! A provider sends audio faster than it is heard, and in pieces of any length. The [`adapter`] turns
//! that into ticks; [`realtime`] is OpenAI's protocol, without a socket.
//!
//! **Invariant:** a tick of audio has exactly a tick's samples; what was cut never sounds; what is told
//! as said was heard, in proportion.

pub mod adapter;
pub mod event;
pub mod ledger;
pub mod realtime;
pub mod reply;
pub mod wire;
pub mod wish;

pub use adapter::{Adapter, Rules, TickResult};
pub use event::{NativeEvent, ResponseEnd, UsageRecord};

/// How many characters of a text of `chars` belong to `played` samples of `received`:
/// `ceil(min(1, played ÷ received) · chars)`.
#[must_use]
pub fn shown(chars: usize, played: u64, received: u64) -> usize {
    if received == 0 || played == 0 {
        return 0;
    }
    let (chars, played, received) =
        (chars as u128, u128::from(played.min(received)), u128::from(received));
    (chars * played).div_ceil(received) as usize
}

/// The first `chars` characters of a text.
#[must_use]
pub fn beginning(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
