//! What carries everything: it waits for the server, datagrams, the session and the time at once.
//!
//! **Invariant:** one task owns all of a stay; what it does between two waits is bounded.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use livekit_protocol::{
    DisconnectReason, JoinRequest, JoinResponse, LeaveRequest, Ping, ReconnectReason,
    leave_request, signal_request, signal_response,
};
use prost::Message as _;
use tokio::time::Instant as Timer;

use super::backlog::Backlog;
use super::entry::{Entered, MEDIA_TIME, enter};
use super::link::{Heard, How, Link, TROUBLE_TIME, sync_state};
use super::timers::Timers;
use super::transfers::Transfers;
use super::trouble::STEADY;
use super::{Line, News, Options, Stamp, Tally, Teller, request, ways};
use crate::host::codec::OpusInlet;
use crate::host::pace::{Clock, Moment, wall_ms};
use crate::id::LaneId;
use crate::livekit::bell::Ear;
use crate::livekit::edge::Notice;
use crate::livekit::media::{Action, Media, PATH_LOST, Sending};
use crate::livekit::names;
use crate::livekit::paths::Paths;
use crate::livekit::roster::Change;
use crate::livekit::signal::SignalError;
use crate::livekit::splice::Splice;
use crate::livekit::stay::{Agent, End, ForMedia, Stay};
use crate::livekit::token::Pass;
use crate::session::input::Inbound;

/// How long somebody may be there without hearing the agent before the session begins all the same.
const UNHEARD: Duration = Duration::from_secs(2);

/// How often an agent comes back that another one of its identity has put out.
const INSISTS: u32 = 3;

/// How long the far ends get for what was said last before the agent leaves: their buffers hold less.
const LAST_WORDS: Duration = Duration::from_millis(300);

pub(super) struct Carrier {
    pub(super) options: Options,
    pub(super) link: Link,
    pub(super) media: Media,
    pub(super) paths: Paths,
    pub(super) stay: Stay,
    pub(super) line: Line,
    pub(super) ear: Ear,
    pub(super) tell: Teller,
    pub(super) left: Receiver<()>,
    pub(super) clock: Clock,
    pub(super) backlog: Backlog,
    pub(super) splices: BTreeMap<LaneId, Splice>,
    pub(super) unsent: u64,
    pub(super) timers: Timers,
    pub(super) began: bool,
    pub(super) was_connected: bool,
    /// It was connected once: there is a way to the server.
    pub(super) has_way: bool,
    pub(super) transfers: Transfers,
    /// The media connection has failed for good: nothing is asked of it any more, and the room is joined anew.
    pub(super) dead: bool,
    /// Since when something is lost that audio or words need.
    pub(super) trouble: Option<Instant>,
}

/// The time, as the media connection and the timers want it.
pub(super) fn now() -> Instant {
    Timer::now().into_std()
}

impl Carrier {
    pub(super) async fn join(
        options: Options,
        line: Line,
        ear: Ear,
        left: Receiver<()>,
        tell: Teller,
    ) -> Result<Self, SignalError> {
        let clock = Clock::default();
        let track = format!("audio-{:x}", wall_ms());
        let agent = Agent {
            name: options.name.clone(),
            track: track.clone(),
            listen_to: options.listen_to.clone(),
            agents: options.agents,
            seats: options.seats.clone().unwrap_or_default(),
            insists: if options.insists { INSISTS } else { 0 },
        };
        let stay = Stay::new(clock.now(), agent);
        let entered = enter(options.clone(), track, stay.first_attributes()).await?;
        let Entered { signal, media, paths, join } = entered;
        let mut carrier = Self {
            options,
            link: Link::Up(Box::new(signal)),
            media,
            paths,
            stay,
            line,
            ear,
            tell,
            left,
            clock,
            backlog: Backlog::default(),
            splices: BTreeMap::new(),
            unsent: 0,
            timers: Timers::new(now()),
            began: false,
            was_connected: false,
            has_way: false,
            transfers: Transfers::default(),
            dead: false,
            trouble: None,
        };
        carrier.entered(&join);
        if carrier.options.seats.is_some() {
            // Who goes now has been there.
            carrier.backlog.settle();
        }
        let server = join.server_info.as_ref().map(|it| it.version.clone()).unwrap_or_default();
        carrier.stay.joined(carrier.clock.now(), join);
        let (room, identity) = (carrier.stay.room_sid(), carrier.stay.me().identity.clone());
        let lacks = carrier.stay.lacks();
        (carrier.tell)(News::Joined { room, identity, server, lacks });
        Ok(carrier)
    }

    /// The server has said how it wants to be talked to, and which ways there are.
    pub(super) fn entered(&mut self, join: &JoinResponse) {
        if join.ping_interval > 0 {
            self.timers.ping_every = Duration::from_secs(join.ping_interval.unsigned_abs().into());
            self.timers.ping = now() + self.timers.ping_every;
        }
        if join.ping_timeout > 0 {
            let patience =
                join.ping_timeout.max(join.ping_interval.saturating_mul(2)).unsigned_abs();
            self.timers.ping_patience = Duration::from_secs(patience.into());
        }
        self.paths.begin(&join.ice_servers);
    }

    pub(super) async fn run(mut self) {
        let end = loop {
            if let Err(why) = self.turn().await {
                match self.reason().await {
                    Some(end) => break end,
                    None if self.has_way => self.give_up_media(),
                    None => break End::Lost(why),
                }
            }
            if let Some(end) = self.stay.out().end.take() {
                break end;
            }
        };
        self.finish(end).await;
    }

    /// Does everything that there is to do, and waits for more.
    async fn turn(&mut self) -> Result<(), String> {
        self.drain().await?;
        if self.stay.out().end.is_some() {
            return Ok(());
        }
        let due = self.due();
        tokio::select! {
            heard = self.link.next(now) => self.heard(heard).await,
            () = self.paths.ready() => self.received()?,
            () = self.ear.heard() => self.called(),
            () = tokio::time::sleep_until(Timer::from_std(due)) => {
                let at = now();
                if self.timers.media <= at && !self.dead {
                    self.media.wake(at)?;
                }
            }
        }
        self.tick().await
    }

    /// The next moment at which something is due.
    fn due(&self) -> Instant {
        let timers = &self.timers;
        let mut due = timers.media.min(timers.ping);
        let company = timers.company.filter(|_| !self.began).map(|since| since + UNHEARD);
        let company = company.filter(|_| self.was_connected);
        let paths = self.paths.due().filter(|_| !self.dead);
        let others = [timers.path, timers.restart, company, self.link.due(), paths];
        for at in others.into_iter().flatten() {
            due = due.min(at);
        }
        if let Some(deadline) = self.stay.deadline() {
            let wait = deadline.since_ns(self.clock.now());
            due = due.min(now() + Duration::from_nanos(wait));
        }
        if self.backlog.is_waiting() {
            // The session's ring was full: the next tick makes room.
            due = due.min(now() + Duration::from_millis(20));
        }
        due
    }

    async fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Message(message) => {
                self.timers.heard = now();
                // Of a connection that was taken up again: its servers are those that are known.
                if !matches!(*message, signal_response::Message::Reconnect(_)) {
                    self.stay.signal(self.clock.now(), *message);
                }
            }
            Heard::Malformed => self.stay.malformed(),
            Heard::Lost => self.link_lost(false),
            Heard::Failed => {}
            Heard::Over(why) => self.stay.end(End::Lost(why)),
            Heard::Anew(entered) => self.enter_anew(*entered),
            Heard::Again => {
                self.timers.heard = now();
                self.timers.up = now();
                let state = sync_state(&mut self.media, &self.stay);
                self.send(signal_request::Message::SyncState(state)).await;
                if let Some(offer) = self.media.unanswered() {
                    self.send(signal_request::Message::Offer(offer)).await;
                }
                self.back();
            }
        }
    }

    fn received(&mut self) -> Result<(), String> {
        // Bounded, so that a flood leaves room for everything else.
        for _ in 0..64 {
            let read = self.clock.now();
            let Some(datagram) = self.paths.receive() else { break };
            if self.dead {
                continue;
            }
            let ends = (datagram.source, datagram.destination);
            self.media.receive(now(), datagram.proto, ends, datagram.bytes)?;
            // What it leads to comes before the next one.
            self.carry_at(read)?;
        }
        Ok(())
    }

    /// The session has pulled the cord: packets, notices, calls, or the owner wants to leave.
    fn called(&mut self) {
        if self.left.try_recv().is_ok() {
            self.stay.end(End::Left);
        }
        while let Ok(notice) = self.line.notices.pop() {
            if notice == Notice::Begun {
                self.backlog.begin();
            }
            self.stay.notice(notice);
        }
        while let Ok(call) = self.line.calls.try_recv() {
            self.stay.call(self.clock.now(), call);
        }
        while let Some((transfer, call)) = self.stay.out().transfers.pop_front() {
            self.transfers.begin(&self.options, transfer, call);
        }
    }

    /// What is due by time.
    async fn tick(&mut self) -> Result<(), String> {
        let at = now();
        self.stay.expire(self.clock.now());
        if self.timers.ping <= at {
            self.ping(at).await;
        }
        if self.timers.path.is_some_and(|until| until <= at) {
            if !self.has_way {
                self.stay.end(End::NoPath(self.paths.tried()));
                return Ok(());
            }
            self.give_up_media();
        }
        let is_well = self.link.is_up() && self.was_connected && self.timers.path.is_none();
        self.has_way |= self.was_connected;
        if is_well && self.timers.up + STEADY <= at {
            self.trouble = None;
        }
        if self.trouble.is_some_and(|since| since + TROUBLE_TIME <= at) {
            self.stay.end(if self.link.is_up() {
                End::NoPath(self.paths.tried())
            } else {
                End::Lost("it did not come back within a minute".to_owned())
            });
            return Ok(());
        }
        while !self.dead
            && let Some(trickle) = ways::look(&mut self.paths, &mut self.media, at)
        {
            self.send(signal_request::Message::Trickle(trickle)).await;
        }
        if self.was_connected
            && let Some(way) = self.paths.used()
        {
            (self.tell)(News::Path(way));
        }
        if self.timers.restart.is_some_and(|when| when <= at) {
            self.timers.restart = Some(at + 2 * PATH_LOST);
            self.paths.restart();
            if let Some(offer) = self.media.restart() {
                self.send(signal_request::Message::Offer(offer)).await;
            }
        }
        if self.link.due().is_some_and(|due| due <= at) {
            let how = if self.link.is_anew() {
                How::Anew(self.stay.agent_track().to_owned(), self.stay.first_attributes())
            } else {
                How::Resume(Box::new(JoinRequest {
                    reconnect: true,
                    reconnect_reason: ReconnectReason::RrSignalDisconnected as i32,
                    participant_sid: self.stay.me().sid.clone(),
                    ..request()
                }))
            };
            self.link.wake(at, &self.options, how);
        }
        self.begin(at);
        Ok(())
    }

    async fn ping(&mut self, at: Instant) {
        self.timers.ping = at + self.timers.ping_every;
        if self.link.is_up() {
            if self.timers.heard + self.timers.ping_patience <= at {
                self.link_lost(false);
                return;
            }
            let ping = Ping { timestamp: wall_ms() as i64, rtt: 0 };
            self.send(signal_request::Message::PingReq(ping)).await;
        }
    }

    /// Whether the session may begin: somebody hears the agent, or is there and does not want to.
    fn begin(&mut self, at: Instant) {
        if self.began || !self.was_connected {
            return;
        }
        if !self.stay.has_company() {
            self.timers.company = None;
            return;
        }
        let since = *self.timers.company.get_or_insert(at);
        if self.stay.is_heard() || since + UNHEARD <= at {
            self.began = true;
            self.backlog.settle();
            (self.tell)(News::Heard);
        }
    }

    /// Carries everything on that is on its way.
    async fn drain(&mut self) -> Result<(), String> {
        let at = now();
        while let Some(packet) = self.line.trunk.receive() {
            if self.dead || !self.was_connected {
                continue;
            }
            self.unsent += u64::from(!self.media.send(at, &packet)?);
            self.carry_all()?;
            if let Some(stamps) = &self.line.stamps {
                stamps.try_send(Stamp::Sent(self.clock.now())).ok();
            }
        }
        loop {
            while let Some(what) = self.stay.out().media.pop_front() {
                if let Some(offer) = self.for_media(what)? {
                    self.send(signal_request::Message::Offer(offer)).await;
                }
            }
            self.carry_all()?;
            if self.stay.out().media.is_empty() {
                break;
            }
        }
        // What cannot be said now is said when there is a connection again, in its order.
        while self.link.is_up()
            && let Some(signal) = self.stay.out().signals.pop_front()
        {
            self.send(signal).await;
        }
        while !self.dead
            && let Some((reliable, packet)) = self.stay.out().packets.pop_front()
        {
            match self.media.send_data(reliable, &packet.encode_to_vec()) {
                Sending::Sent => self.carry_all()?,
                Sending::Later if reliable => {
                    self.stay.out().packets.push_front((reliable, packet));
                    break;
                }
                // What may be lost is not worth waiting for.
                Sending::Later | Sending::Never => self.stay.unsent(),
            }
        }
        if let Some(token) = self.stay.out().refreshed.take()
            && let Ok(pass) = Pass::given(&token)
        {
            self.options.pass = pass;
        }
        if std::mem::take(&mut self.stay.out().resume) && self.link.is_up() {
            self.link_lost(false);
            self.timers.restart.get_or_insert(now());
        }
        if std::mem::take(&mut self.stay.out().put_out) {
            self.put_out();
        }
        if std::mem::take(&mut self.stay.out().anew) {
            if self.has_way {
                self.link_lost(true);
            } else {
                // The server has waited for audio as well, and for nothing.
                self.stay.end(End::NoPath(self.paths.tried()));
            }
        }
        while let Some(warning) = self.stay.out().warnings.pop_front() {
            (self.tell)(News::Warning(warning));
        }
        while let Some(change) = self.stay.out().changes.pop_front() {
            self.backlog.add(change);
        }
        if let Some(seats) = self.stay.moved() {
            (self.tell)(News::Seats(seats));
        }
        self.forward();
        Ok(())
    }

    fn for_media(
        &mut self,
        what: ForMedia,
    ) -> Result<Option<livekit_protocol::SessionDescription>, String> {
        if self.dead {
            return Ok(None);
        }
        match what {
            ForMedia::Answer(answer) => self.media.answer(answer),
            ForMedia::Sections(more) => Ok(self.media.require(more)),
            ForMedia::Candidate(json) => {
                // One that cannot be read is one way less.
                if self.media.candidate(&json).is_err() {
                    self.stay.malformed();
                }
                Ok(None)
            }
        }
    }

    fn carry_all(&mut self) -> Result<(), String> {
        self.carry_at(self.clock.now())
    }

    /// The same, at a moment that is known already.
    fn carry_at(&mut self, now: Moment) -> Result<(), String> {
        if self.dead {
            return Ok(());
        }
        Self::carry(
            &mut self.media,
            &mut self.paths,
            &mut Carried {
                stay: &mut self.stay,
                line: &mut self.line,
                timers: &mut self.timers,
                now,
                running: self.backlog.has_begun(),
                splices: &mut self.splices,
                was_connected: &mut self.was_connected,
                trouble: &mut self.trouble,
            },
        )
    }

    /// Carries what the media connection has to say to where it belongs.
    fn carry(media: &mut Media, paths: &mut Paths, to: &mut Carried<'_>) -> Result<(), String> {
        loop {
            match media.poll()? {
                Action::Wait(at) => {
                    to.timers.media = at;
                    return Ok(());
                }
                Action::Transmit { proto, source, destination, contents } => {
                    paths.send(proto, source, destination, &contents);
                }
                Action::Audio { mid, stream, packets } => {
                    let track = media.track(mid);
                    let lane = track.and_then(|track| to.stay.roster().lane_of_track(track));
                    if let Some(lane) = lane.filter(|_| to.running) {
                        let splice = to.splices.entry(lane).or_default();
                        for (seq, bytes) in packets {
                            to.line.trunk.send(lane, splice.number(stream, seq), &bytes);
                            if let Some(stamps) = &to.line.stamps {
                                let kept = Clock::default().now();
                                stamps.try_send(Stamp::Came { read: to.now, kept }).ok();
                            }
                        }
                    }
                }
                Action::Data { reliable, bytes } => to.stay.data(to.now, reliable, &bytes),
                Action::Connected => {
                    paths.settled();
                    to.timers.path = None;
                    to.timers.restart = None;
                    if !std::mem::replace(to.was_connected, true) && !to.running {
                        to.stay.show(names::IDLE);
                    }
                }
                Action::Open => {}
                Action::Disconnected => {
                    let at = now();
                    paths.lost();
                    to.trouble.get_or_insert(at);
                    to.timers.path.get_or_insert(at + MEDIA_TIME);
                    to.timers.restart.get_or_insert(at);
                }
            }
        }
    }

    async fn send(&mut self, message: signal_request::Message) {
        if !self.link.send(message).await {
            self.link_lost(false);
        }
    }

    fn forward(&mut self) {
        let Options { rate, reorder, .. } = self.options;
        let inlet = || OpusInlet::new(rate, reorder);
        if let Err(why) = self.backlog.forward(&mut self.line.trunk, inlet) {
            (self.tell)(News::Warning(why));
        }
    }

    async fn finish(mut self, end: End) {
        if end == End::Left {
            // What was said last is on its way to ears.
            let until = now() + LAST_WORDS;
            while now() < until {
                let carried = self.drain().await.and_then(|()| self.received());
                if carried.is_err() {
                    break;
                }
                let at = self.timers.media.min(until).max(now());
                tokio::time::sleep_until(Timer::from_std(at)).await;
                if self.media.wake(now()).is_err() {
                    break;
                }
            }
            let leave = LeaveRequest {
                reason: DisconnectReason::ClientInitiated as i32,
                action: leave_request::Action::Disconnect as i32,
                ..LeaveRequest::default()
            };
            self.send(signal_request::Message::Leave(leave)).await;
        } else {
            let hang_up = Inbound::HangUp { reason: end.to_string() };
            self.backlog.begin();
            self.backlog.add(Change::Value(hang_up));
            self.forward();
        }
        self.paths.close();
        self.link.close().await;
        let tally = Tally {
            stay: self.stay.counts(),
            media: self.media.counts(),
            unsent: self.paths.dropped() + self.unsent,
            untold: self.backlog.untold(),
            unnoted: self.line.lost.load(Ordering::Relaxed),
            line: self.line.trunk.tally(),
        };
        (self.tell)(News::Ended(end, tally));
    }
}

/// What the media connection's output goes to.
struct Carried<'a> {
    stay: &'a mut Stay,
    line: &'a mut Line,
    timers: &'a mut Timers,
    now: Moment,
    running: bool,
    splices: &'a mut BTreeMap<LaneId, Splice>,
    was_connected: &'a mut bool,
    trouble: &'a mut Option<Instant>,
}
