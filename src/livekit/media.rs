//! The media connection of a room: Opus both ways and two data channels, over ICE, DTLS, SRTP and SCTP.
//!
//! A value without a socket: datagrams and the time go in, datagrams and what they carried come out.
//! One peer connection serves both directions. This side offers, always; an offer waits until the one
//! before it is answered.
//!
//! Packets are handed on as they come, with their sequence numbers: the session's inlet puts them in
//! order, and waits no longer than it is configured to.
//!
//! **Invariant:** every change is followed by [`Media::poll`] until it answers [`Action::Wait`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use livekit_protocol::{DataChannelInfo, SessionDescription, SignalTarget};
use serde::Deserialize;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

use super::red::{Repeater, read as read_red};
use super::seen::Seen;
use crate::host::packets::{PACKET_MAX, RingPacket};

/// Samples of a 20 ms frame at Opus's clock of 48 kHz (RFC 7587).
const FRAME_TIME: u64 = 960;

/// Sections for others' audio at most: as many as a session has lanes, and some that are being left.
const SECTIONS_MAX: usize = 24;

/// The longest message of a data channel, in bytes: what the server's answer says.
pub const MESSAGE_MAX: usize = 65_535;

/// The longest description or candidate of the server's, in bytes.
const SDP_MAX: usize = 256 << 10;

/// Candidates of the server at most.
const CANDIDATES_MAX: usize = 64;

/// The channel that keeps order and loses nothing, by LiveKit's name.
const RELIABLE: &str = "_reliable";

/// The channel that does not, by LiveKit's name.
const LOSSY: &str = "_lossy";

/// What comes of the connection.
#[derive(Debug)]
pub enum Action {
    /// A datagram to send.
    Transmit {
        /// How.
        proto: Protocol,
        /// From which of the local candidates.
        source: std::net::SocketAddr,
        /// To where.
        destination: std::net::SocketAddr,
        /// The datagram.
        contents: DatagramSend,
    },
    /// Packets of a track: each with its sequence number.
    Audio {
        /// The track's section.
        mid: Mid,
        /// The stream that they belong to: a new one has other numbers.
        stream: u32,
        /// The packets, those repeated first.
        packets: Vec<(u16, Vec<u8>)>,
    },
    /// A message of another participant, or of the server.
    Data {
        /// Whether it came on the reliable channel.
        reliable: bool,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Audio can be sent and heard.
    Connected,
    /// Both data channels are open.
    Open,
    /// No way to the server, for the moment or for good.
    Disconnected,
    /// Nothing until then.
    Wait(Instant),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It is on its way.
    Sent,
    /// The channel is not open, or has too much to send already.
    Later,
    /// It is longer than what is sent, or the channel refuses it.
    Never,
}

/// What happened to packets of others, as counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaCounts {
    /// Packets of a payload type that was not agreed on.
    pub unknown: u64,
    /// Packets of redundant audio that cannot be read.
    pub malformed: u64,
    /// Packets that are too long for audio.
    pub oversized: u64,
    /// Packets restored from one that repeated them.
    pub repeated: u64,
}

/// The connection.
pub struct Media {
    /// In a place of its own: it is large, and a room's task would have room for each of its moves.
    rtc: Box<Rtc>,
    microphone: Mid,
    /// Sections for others' audio, and which track each has.
    sections: Vec<(Mid, Option<String>)>,
    seen: BTreeMap<Mid, Seen>,
    channels: [(ChannelId, bool); 2],
    pending: Option<(u32, SdpPendingOffer)>,
    described: Option<(SessionDescription, SessionDescription)>,
    offer: SessionDescription,
    /// Sections that are to be added, and whether an offer is wanted even without any.
    wanted: Wanted,
    candidates: usize,
    sent: u64,
    frame: Option<u64>,
    repeater: Option<Repeater>,
    payload: Vec<u8>,
    counts: MediaCounts,
}

#[derive(Debug, Default)]
struct Wanted {
    sections: usize,
    offer: bool,
    restart: bool,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Media({:?}, {:?})", self.sections, self.counts)
    }
}

impl Media {
    /// A connection from these candidates that publishes a track under the client's id `track`, with
    /// redundancy where `red` and the server wants it, too; and the first offer.
    ///
    /// # Panics
    /// Never: a first offer has changes.
    #[must_use]
    pub fn new(
        now: Instant,
        candidates: &[Candidate],
        track: &str,
        red: bool,
    ) -> (Self, SessionDescription) {
        let mut config = Rtc::builder();
        // A path that answers nothing for so long is lost: the usual 20 s are longer than the server waits.
        config.set_max_stun_rto(STUN_RTO_MAX);
        config.set_max_stun_retransmits(STUN_RETRANSMITS);
        let rtc = config
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, red)
            .set_stats_interval(None)
            .set_sctp_max_message_size(MESSAGE_MAX as u32)
            // Voice is not sent again: what is missing is restored from the next packet, or concealed.
            .set_send_buffer_audio(1)
            .build(now);
        let mut rtc = Box::new(rtc);
        for candidate in candidates {
            rtc.add_local_candidate(candidate.clone());
        }
        let mut change = rtc.sdp_api();
        let reliable = change.add_channel_with_config(ChannelConfig {
            label: RELIABLE.to_owned(),
            ..ChannelConfig::default()
        });
        let lossy = change.add_channel_with_config(ChannelConfig {
            label: LOSSY.to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        let stream = Some(track.to_owned());
        let microphone =
            change.add_media(MediaKind::Audio, Direction::SendOnly, stream.clone(), stream, None);
        let hearing = change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().expect("a first offer has changes");
        let offer = description(&offer.to_sdp_string(), 1);
        let media = Self {
            rtc,
            microphone,
            sections: vec![(hearing, None)],
            seen: BTreeMap::new(),
            channels: [(reliable, false), (lossy, false)],
            pending: Some((1, pending)),
            described: None,
            offer: offer.clone(),
            wanted: Wanted::default(),
            candidates: 0,
            sent: 0,
            frame: None,
            repeater: red.then(Repeater::default),
            payload: Vec::with_capacity(2 * PACKET_MAX),
            counts: MediaCounts::default(),
        };
        (media, offer)
    }

    /// Takes the server's answer to the offer under way; one to an earlier offer is of no use. Gives
    /// the next offer, if one is due.
    ///
    /// # Errors
    /// The answer cannot be used; in words.
    pub fn answer(
        &mut self,
        answer: SessionDescription,
    ) -> Result<Option<SessionDescription>, String> {
        if answer.sdp.len() > SDP_MAX {
            return Err(format!("an answer of {} bytes", answer.sdp.len()));
        }
        let Some((id, pending)) = self.pending.take() else { return Ok(None) };
        if answer.id != 0 && answer.id != id {
            self.pending = Some((id, pending));
            return Ok(None);
        }
        let sdp = SdpAnswer::from_sdp_string(&answer.sdp).map_err(|error| error.to_string())?;
        self.rtc.sdp_api().accept_answer(pending, sdp).map_err(|error| error.to_string())?;
        for (mid, track) in &mut self.sections {
            // A map of the protocol's own, looked up by key.
            *track = answer.mid_to_track_id.get(&mid.to_string()).cloned();
        }
        self.described = Some((self.offer.clone(), answer));
        Ok(self.next_offer())
    }

    /// A candidate of the server's, as JSON of the browsers' kind.
    ///
    /// # Errors
    /// It cannot be read; in words.
    pub fn candidate(&mut self, json: &str) -> Result<Option<Candidate>, String> {
        #[derive(Deserialize)]
        struct Init {
            candidate: String,
        }
        if json.len() > SDP_MAX || self.candidates >= CANDIDATES_MAX {
            return Err("too many candidates".to_owned());
        }
        let init: Init = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if init.candidate.is_empty() {
            return Ok(None);
        }
        let candidate =
            Candidate::from_sdp_string(&init.candidate).map_err(|error| error.to_string())?;
        self.candidates += 1;
        self.rtc.add_remote_candidate(candidate.clone());
        Ok(Some(candidate))
    }

    /// A local candidate that became known later.
    pub fn add_local(&mut self, candidate: Candidate) {
        self.rtc.add_local_candidate(candidate);
    }

    /// A local candidate that is of no use any more.
    pub fn remove_local(&mut self, candidate: &Candidate) {
        self.rtc.direct_api().invalidate_candidate(candidate);
    }

    /// The server needs so many more sections for audio; with none, too, it waits for an offer. Gives
    /// the offer, unless one is under way.
    pub fn require(&mut self, sections: u32) -> Option<SessionDescription> {
        self.wanted.sections += sections as usize;
        self.wanted.offer = true;
        self.next_offer()
    }

    /// Looks for ways to the server anew. Gives the offer, unless one is under way.
    pub fn restart(&mut self) -> Option<SessionDescription> {
        self.wanted.restart = true;
        self.wanted.offer = true;
        // An offer that nobody will answer any more does not hold this one up; what it would have added is
        // asked for again.
        if self.pending.take().is_some() {
            let before = self.sections.len();
            let rtc = &self.rtc;
            self.sections.retain(|(mid, _)| rtc.media(*mid).is_some());
            self.wanted.sections += before - self.sections.len();
        }
        self.next_offer()
    }

    fn next_offer(&mut self) -> Option<SessionDescription> {
        if self.pending.is_some() || !self.wanted.offer {
            return None;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let idle = self.sections.iter().find(|(_, track)| track.is_none()).map(|(mid, _)| *mid);
        let room = SECTIONS_MAX.saturating_sub(self.sections.len());
        // Something has to change for there to be an offer: a new section, or one that is turned off and on.
        let needed = usize::from(idle.is_none() && !wanted.restart);
        let add = wanted.sections.max(needed).min(room);
        let idle = idle.or_else(|| self.sections.last().map(|(mid, _)| *mid));
        let mut change = self.rtc.sdp_api();
        for _ in 0..add {
            let mid = change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            self.sections.push((mid, None));
        }
        if let Some(mid) = idle.filter(|_| add == 0 && !wanted.restart) {
            change.set_direction(mid, Direction::Inactive);
            change.set_direction(mid, Direction::RecvOnly);
        }
        if wanted.restart {
            change.ice_restart(true);
            self.candidates = 0;
        }
        let Some((offer, pending)) = change.apply() else {
            self.wanted = wanted;
            return None;
        };
        let id = self.offer.id + 1;
        self.pending = Some((id, pending));
        self.offer = description(&offer.to_sdp_string(), id);
        Some(self.offer.clone())
    }

    /// The offer that waits for its answer, to be sent again when nobody can tell whether it arrived.
    #[must_use]
    pub fn unanswered(&self) -> Option<SessionDescription> {
        self.pending.is_some().then(|| self.offer.clone())
    }

    /// The last offer and its answer, for the server after a break of signalling.
    #[must_use]
    pub const fn described(&self) -> Option<&(SessionDescription, SessionDescription)> {
        self.described.as_ref()
    }

    /// The data channels, for the server after a break of signalling.
    #[must_use]
    pub fn channels(&mut self) -> Vec<DataChannelInfo> {
        let ids = [(self.channels[0].0, RELIABLE), (self.channels[1].0, LOSSY)];
        let direct = self.rtc.direct_api();
        let known = ids.into_iter().filter_map(|(id, label)| {
            let id = u32::from(direct.sctp_stream_id_by_channel_id(id)?);
            Some(DataChannelInfo {
                label: label.to_owned(),
                id,
                target: SignalTarget::Publisher as i32,
            })
        });
        known.collect()
    }

    /// The track that a section carries.
    #[must_use]
    pub fn track(&self, mid: Mid) -> Option<&str> {
        self.sections.iter().find(|(known, _)| *known == mid)?.1.as_deref()
    }

    /// What happened to packets of others.
    #[must_use]
    pub const fn counts(&self) -> MediaCounts {
        self.counts
    }

    /// Takes a datagram. One that is nobody's is ignored.
    ///
    /// # Errors
    /// The connection has failed for good; in words.
    pub fn receive(
        &mut self,
        now: Instant,
        proto: Protocol,
        (source, destination): (std::net::SocketAddr, std::net::SocketAddr),
        bytes: &[u8],
    ) -> Result<(), String> {
        let Ok(contents) = bytes.try_into() else { return Ok(()) };
        let input = Input::Receive(now, Receive { proto, source, destination, contents });
        if !self.rtc.accepts(&input) {
            return Ok(());
        }
        self.rtc.handle_input(input).map_err(|error| error.to_string())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// The connection has failed for good; in words.
    pub fn wake(&mut self, now: Instant) -> Result<(), String> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(|error| error.to_string())
    }

    /// Sends a packet of the session's; false while there is no way to send one.
    ///
    /// # Errors
    /// The connection has failed for good; in words.
    pub fn send(&mut self, now: Instant, packet: &RingPacket) -> Result<bool, String> {
        let Some((pt, red)) = self.payload_types() else { return Ok(false) };
        let time = (packet.frame * FRAME_TIME) as u32;
        let bytes = packet.packet.bytes();
        let (pt, payload) = match (red, &mut self.repeater) {
            (Some(red), Some(repeater)) => {
                repeater.wrap(*pt, time, bytes, &mut self.payload);
                (red, self.payload.as_slice())
            }
            _ => (pt, bytes),
        };
        // After a pause, a receiver may adapt its buffer.
        let begins = self.frame.is_none_or(|before| packet.frame != before + 1);
        let write = RtpWrite::new(pt, self.sent.into(), time, now, payload).marker(begins);
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(self.microphone, None) else { return Ok(false) };
        stream.write_rtp(write);
        self.sent += 1;
        self.frame = Some(packet.frame);
        // It is let out when time passes: at once, or it would take another turn of everything.
        self.wake(now).map(|()| true)
    }

    /// The payload types of Opus and, where agreed on, of its redundant form.
    fn payload_types(&self) -> Option<(Pt, Option<Pt>)> {
        let media = self.rtc.media(self.microphone)?;
        let params = self.rtc.codec_config().params();
        let opus = params.iter().find(|params| params.spec().codec == Codec::Opus)?;
        let agreed = media.remote_pts();
        // Where the other side does not agree to redundancy, the answer takes it out.
        agreed.contains(&opus.pt()).then(|| (opus.pt(), opus.red()))
    }

    /// Sends a message.
    pub fn send_data(&mut self, reliable: bool, bytes: &[u8]) -> Sending {
        let (id, open) = self.channels[usize::from(!reliable)];
        if bytes.len() > MESSAGE_MAX {
            return Sending::Never;
        }
        if !open {
            return Sending::Later;
        }
        match self.rtc.channel(id).map(|mut channel| channel.write(true, bytes)) {
            Some(Ok(true)) => Sending::Sent,
            Some(Ok(false)) | None => Sending::Later,
            Some(Err(_)) => Sending::Never,
        }
    }

    /// Whether both channels are open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.channels[0].1 && self.channels[1].1
    }

    /// What comes next.
    ///
    /// # Errors
    /// The connection has failed for good; in words.
    pub fn poll(&mut self) -> Result<Action, String> {
        loop {
            match self.rtc.poll_output().map_err(|error| error.to_string())? {
                Output::Timeout(at) => return Ok(Action::Wait(at)),
                Output::Transmit(transmit) => {
                    return Ok(Action::Transmit {
                        proto: transmit.proto,
                        source: transmit.source,
                        destination: transmit.destination,
                        contents: transmit.contents,
                    });
                }
                Output::Event(event) => {
                    if let Some(action) = self.event(event)? {
                        return Ok(action);
                    }
                }
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<Option<Action>, String> {
        Ok(match event {
            Event::Connected => Some(Action::Connected),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                Some(Action::Disconnected)
            }
            Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) if self.rtc.is_connected() => Some(Action::Connected),
            Event::ChannelOpen(id, _) => {
                self.set_open(id, true);
                self.is_open().then_some(Action::Open)
            }
            Event::ChannelClose(id) => {
                self.set_open(id, false);
                None
            }
            Event::ChannelData(data) => {
                self.channel(data.id).map(|at| Action::Data { reliable: at == 0, bytes: data.data })
            }
            Event::RtpPacket(packet) => self.audio(&packet),
            Event::Closed => return Err("the server ended the media connection".to_owned()),
            _ => None,
        })
    }

    fn set_open(&mut self, id: ChannelId, open: bool) {
        if let Some(at) = self.channel(id) {
            self.channels[at].1 = open;
        }
    }

    fn channel(&self, id: ChannelId) -> Option<usize> {
        self.channels.iter().position(|(known, _)| *known == id)
    }

    fn audio(&mut self, packet: &str0m::rtp::RtpPacket) -> Option<Action> {
        let mid = self.rtc.direct_api().stream_rx(&packet.header.ssrc)?.mid();
        let params = self.rtc.codec_config().params();
        let pt = packet.header.payload_type;
        let is_opus = params.iter().any(|params| params.pt() == pt);
        let is_red = params.iter().any(|params| params.red() == Some(pt));
        let seq = packet.header.sequence_number;
        let seen = self.seen.entry(mid).or_default();
        let mut packets = Vec::with_capacity(2);
        let ssrc = *packet.header.ssrc;
        if is_opus {
            seen.add(ssrc, seq).then(|| packets.push((seq, packet.payload.to_vec())));
        } else if is_red {
            let Some(red) = read_red(&packet.payload) else {
                self.counts.malformed += 1;
                return None;
            };
            for (at, (_, block)) in red.repeated.iter().rev().enumerate().rev() {
                let before = seq.wrapping_sub(at as u16 + 1);
                if !block.is_empty() && seen.add_earlier(ssrc, before) {
                    self.counts.repeated += 1;
                    packets.push((before, block.to_vec()));
                }
            }
            seen.add(ssrc, seq).then(|| packets.push((seq, red.primary.to_vec())));
        } else {
            self.counts.unknown += 1;
        }
        let before = packets.len();
        packets.retain(|(_, bytes)| !bytes.is_empty() && bytes.len() <= PACKET_MAX);
        self.counts.oversized += (before - packets.len()) as u64;
        (!packets.is_empty()).then_some(Action::Audio { mid, stream: ssrc, packets })
    }
}

/// The longest pause between two questions to a path that does not answer, and how many are asked: 2 s in all.
const STUN_RTO_MAX: Duration = Duration::from_millis(500);
const STUN_RETRANSMITS: usize = 4;

/// How long a new look for a path may take before another is begun.
pub const PATH_LOST: Duration = Duration::from_secs(2);

fn description(sdp: &str, id: u32) -> SessionDescription {
    SessionDescription {
        r#type: "offer".to_owned(),
        sdp: sdp.to_owned(),
        id,
        ..SessionDescription::default()
    }
}
