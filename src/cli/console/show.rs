//! Shows a call as it happens: on a screen, or as lines.
//!
//! **Invariant:** at most thirty frames a second are drawn, and none when nothing has changed; whatever happens to the
//! terminal, the call comes to its end.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use ratatui::crossterm::event::{self, Event as Pressed};

use super::super::live::{Glimpse, Live};
use super::super::view::{View, complain, line};
use super::Sound;
use super::desk::{Quit, Wish, Wishes};
use super::screen::{Act, Look, Screen};
use super::stray;
use super::terminal::Taken;
use crate::host::notice::Notice;
use crate::host::pace::Clock;
use crate::session::plan::Plan;

/// A frame is drawn so long after the one before at the earliest, in nanoseconds: thirty a second.
const FRAME_NS: u64 = 33_000_000;

/// Glimpses that are taken before something is drawn: more than a second's.
const GLIMPSES_MAX: usize = 1_024;

/// Keys that are read ahead at most.
const KEYS_WAITING: usize = 64;

/// Lines of a call that are left on the terminal when its screen is gone.
const LEFT_MAX: usize = 400;

/// Shows a call as lines, until it is over.
pub(super) fn lines(live: &mut Live, view: &mut View, sound: &Sound) {
    let mut notices = sound.notices.clone();
    loop {
        crossbeam_channel::select! {
            recv(live.glimpses) -> glimpse => match glimpse {
                Ok(Glimpse::Event(event)) => view.event(&event),
                Ok(Glimpse::Beat(_)) => {
                    live.demoted().into_iter().for_each(|remark| view.warn(remark));
                }
                Err(_) => return,
            },
            recv(notices) -> notice => match notice {
                Ok(Notice::Info(text)) => view.notice(false, &text),
                Ok(Notice::Warning(text)) => view.notice(true, &text),
                // Nobody has anything to say any more.
                Err(_) => notices = crossbeam_channel::never(),
            },
        }
    }
}

/// Shows a call on a screen, until it is over. What was said is left on the terminal.
pub(super) fn screen(
    live: &mut Live,
    plan: &Plan,
    sound: &Sound,
    wishes: &Wishes,
    color: bool,
) -> io::Result<()> {
    let mut kept = Kept { view: View::lines(plan, false), lines: Vec::new() };
    let shown = show(live, plan, sound, wishes, color, &mut kept);
    for told in kept.lines {
        line(told);
    }
    // What came too late for the screen.
    for told in stray::taken() {
        complain(told);
    }
    if shown.is_err() {
        // Without a terminal nobody can ask for the end.
        while wishes.quit() != Quit::Again {}
    }
    // What the screen did not see any more, until the session is over.
    while live.glimpses.recv().is_ok() {}
    shown
}

fn show(
    live: &mut Live,
    plan: &Plan,
    sound: &Sound,
    wishes: &Wishes,
    color: bool,
    kept: &mut Kept,
) -> io::Result<()> {
    let audio = sound.devices.is_some();
    let mut taken = Taken::take(audio)?;
    let look = Look { audio, color, releases: taken.releases };
    let mut screen = Screen::new(plan, look);
    live.remark().into_iter().for_each(|remark| screen.notice(&warning(remark)));
    let keys = keys()?;
    let clock = Clock::default();
    let mut next = clock.now();
    loop {
        let over = glimpses(&live.glimpses, &mut screen, kept);
        live.demoted().into_iter().for_each(|remark| screen.notice(&warning(remark)));
        sound.notices.try_iter().for_each(|notice| screen.notice(&notice));
        if let Some(devices) = &sound.devices {
            screen.gauges(&devices.glance());
        }
        stray::taken().iter().for_each(|line| screen.notice(&warning(line)));
        let now = clock.now();
        if now >= next && screen.take_changed() {
            taken.terminal.draw(|frame| screen.draw(frame))?;
            next = now.after_ns(FRAME_NS);
        }
        if over {
            return Ok(());
        }
        let wait = next.since_ns(clock.now());
        let wait = if wait == 0 { FRAME_NS } else { wait };
        match keys.recv_timeout(Duration::from_nanos(wait)) {
            Ok(key) => pressed(key, &mut screen, sound, wishes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("keys cannot be read"));
            }
        }
    }
}

/// Keys, as they are pressed. They are read on a thread of their own: a terminal that is gone is read again and again
/// by the library, which must hold up nobody.
fn keys() -> io::Result<Receiver<Pressed>> {
    let (tell, keys) = bounded(KEYS_WAITING);
    let read = move || {
        while let Ok(key) = event::read() {
            if tell.send(key).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(keys)
}

fn warning(text: &str) -> Notice {
    Notice::Warning(text.to_owned())
}

/// Takes what there is to see; whether the session is over.
fn glimpses(glimpses: &Receiver<Glimpse>, screen: &mut Screen, kept: &mut Kept) -> bool {
    for _ in 0..GLIMPSES_MAX {
        match glimpses.try_recv() {
            Ok(Glimpse::Event(event)) => {
                kept.lines.extend(kept.view.told(&event));
                let many = kept.lines.len().saturating_sub(LEFT_MAX);
                kept.lines.drain(..many);
                screen.event(&event);
            }
            Ok(Glimpse::Beat(beat)) => screen.beat(&beat),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => return true,
        }
    }
    false
}

/// Does what a key is for.
fn pressed(event: Pressed, screen: &mut Screen, sound: &Sound, wishes: &Wishes) {
    let act = match event {
        Pressed::Key(key) => screen.key(key),
        Pressed::Paste(text) => {
            screen.pasted(&text);
            None
        }
        Pressed::Resize(..) => {
            screen.resized();
            None
        }
        Pressed::FocusGained | Pressed::FocusLost | Pressed::Mouse(_) => None,
    };
    let told = match act {
        None => true,
        Some(Act::Type(text)) => wishes.tell(Wish::Type(text)),
        Some(Act::Interrupt) => wishes.tell(Wish::Interrupt),
        Some(Act::Mute(muted)) => {
            // The device is silent at once, and the session is told.
            if let Some(devices) = &sound.devices {
                devices.mute(muted);
            }
            wishes.tell(Wish::Mute(muted))
        }
        Some(Act::Quit) => {
            if wishes.quit() == Quit::Goodbye {
                screen.leaving();
            }
            true
        }
    };
    if !told {
        screen.say("that was too much at once: it was not taken");
    }
}

/// What is left on the terminal.
struct Kept {
    view: View,
    lines: Vec<String>,
}
