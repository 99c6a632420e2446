//! Both sides' transcripts, as LiveKit's agents publish them.
//!
//! What a participant said is a text stream for each version of it, in the participant's name, until the
//! last is marked as final. What the agent says is one stream that grows with the voice and is closed
//! when the text has been said, or cut. For older clients, each is followed by a packet of the older kind.
//!
//! **Invariant:** a segment's id is never used for another text, and what stands in it of the agent's was
//! heard.

use std::collections::{BTreeMap, HashMap};

use livekit_protocol::data_packet::Value;
use livekit_protocol::data_stream::header::ContentHeader;
use livekit_protocol::data_stream::{Chunk, Header, TextHeader, Trailer};
use livekit_protocol::{DataPacket, Transcription, TranscriptionSegment};

use super::names;
use crate::id::{ItemId, LaneId, UtteranceId};

/// The longest piece of a text in one packet, in bytes: the official clients' own.
const CHUNK_MAX: usize = 15_000;

/// Texts of the agent's that are under way at most.
const TEXTS_MAX: usize = 64;

/// Who is transcribed: the identity, and the track that was heard.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The identity.
    pub identity: &'a str,
    /// The track's sid.
    pub track: &'a str,
}

/// Makes the packets.
#[derive(Debug)]
pub struct Herald {
    /// What makes ids of this stay in the room different from any other's.
    stay: String,
    identity: String,
    track: String,
    streams: u64,
    texts: BTreeMap<ItemId, Text>,
    /// Utterances of which a version was published that was not the last.
    interim: Vec<(LaneId, UtteranceId)>,
}

#[derive(Debug)]
struct Text {
    text: String,
    /// Bytes that were published.
    said: usize,
    /// The stream under way, and how many of its pieces were sent.
    open: Option<(String, u64)>,
    /// Segments so far: one that was cut and goes on is a new one.
    segments: u32,
    /// Where the segment begins in the text.
    from: usize,
}

impl Herald {
    /// A herald for the agent of this identity, whose stay in the room has the sid `stay`, and whose
    /// track is `track`.
    #[must_use]
    pub fn new(stay: &str, identity: &str, track: &str) -> Self {
        Self {
            stay: stay.to_owned(),
            identity: identity.to_owned(),
            track: track.to_owned(),
            streams: 0,
            texts: BTreeMap::new(),
            interim: Vec::new(),
        }
    }

    /// The agent's track is another one, in another connection: streams under way have ended for who read them, and what
    /// is left of their texts goes on in new ones.
    pub fn moved(&mut self, track: &str) {
        track.clone_into(&mut self.track);
        for text in self.texts.values_mut() {
            text.open = None;
        }
    }

    /// A version of a participant's words.
    pub fn heard(
        &mut self,
        source: Source<'_>,
        (lane, utterance): (LaneId, UtteranceId),
        (text, last): (&str, bool),
        packets: &mut Vec<DataPacket>,
    ) {
        let key = (lane, utterance);
        let known = self.interim.iter().position(|known| *known == key);
        if text.is_empty() && known.is_none() {
            // Nobody has seen anything that would have to go.
            return;
        }
        match (last, known) {
            (true, Some(at)) => drop(self.interim.swap_remove(at)),
            (false, None) if self.interim.len() < TEXTS_MAX => self.interim.push(key),
            (true, None) | (false, _) => {}
        }
        let segment = format!("{}-user-{}-{}", self.stay, lane.0, utterance.0);
        let attributes = attributes(&segment, source.track, last);
        let id = self.next_stream();
        packets.push(header(&id, source.identity, attributes, Some(text.len() as u64)));
        let pieces = pieces(text);
        for (index, piece) in pieces.iter().enumerate() {
            packets.push(chunk(&id, source.identity, index as u64, piece));
        }
        packets.push(trailer(&id, source.identity, HashMap::new()));
        packets.push(old(source, &segment, text, last));
    }

    /// The agent has something to say.
    pub fn announced(&mut self, item: ItemId, text: String) {
        if self.texts.len() >= TEXTS_MAX {
            self.texts.pop_first();
        }
        self.texts.insert(item, Text { text, said: 0, open: None, segments: 0, from: 0 });
    }

    /// More words of it are known.
    pub fn more(&mut self, item: ItemId, text: &str) {
        if let Some(known) = self.texts.get_mut(&item) {
            known.text.push_str(text);
        }
    }

    /// So much of it has been said.
    pub fn said(&mut self, item: ItemId, bytes: u32, packets: &mut Vec<DataPacket>) {
        let Some(text) = self.texts.get_mut(&item) else { return };
        let to = boundary(&text.text, bytes as usize);
        if to <= text.said {
            return;
        }
        let source = Source { identity: &self.identity, track: &self.track };
        let number = text.segments + u32::from(text.open.is_none());
        let segment = format!("{}-agent-{}-{number}", self.stay, item.0);
        if text.open.is_none() {
            text.segments = number;
            text.from = text.said;
            self.streams += 1;
            let id = format!("{}-{}", self.stay, self.streams);
            let attributes = attributes(&segment, source.track, false);
            packets.push(header(&id, source.identity, attributes, None));
            text.open = Some((id, 0));
        }
        if let Some((id, sent)) = &mut text.open {
            for piece in pieces(&text.text[text.said..to]) {
                packets.push(chunk(id, source.identity, *sent, piece));
                *sent += 1;
            }
        }
        text.said = to;
        packets.push(old(source, &segment, &text.text[text.from..to], false));
    }

    /// It is over: said to its end, or up to where it was cut; what was cut may go on later.
    pub fn over(&mut self, item: ItemId, cut: Option<u32>, packets: &mut Vec<DataPacket>) {
        let whole = self.texts.get(&item).map_or(0, |text| text.text.len() as u32);
        self.said(item, cut.unwrap_or(whole), packets);
        let Some(text) = self.texts.get_mut(&item) else { return };
        if let Some((id, _)) = text.open.take() {
            let source = Source { identity: &self.identity, track: &self.track };
            let segment = format!("{}-agent-{}-{}", self.stay, item.0, text.segments);
            let done = HashMap::from([(names::FINAL.to_owned(), "true".to_owned())]);
            packets.push(trailer(&id, source.identity, done));
            packets.push(old(source, &segment, &text.text[text.from..text.said], true));
        }
        if cut.is_none() {
            self.texts.remove(&item);
        }
    }

    fn next_stream(&mut self) -> String {
        self.streams += 1;
        format!("{}-{}", self.stay, self.streams)
    }
}

/// The last end of a character at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A text in pieces that fit into packets; nothing, for no text.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(boundary(rest, CHUNK_MAX));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn attributes(segment: &str, track: &str, last: bool) -> HashMap<String, String> {
    HashMap::from([
        (names::SEGMENT.to_owned(), segment.to_owned()),
        (names::TRACK.to_owned(), track.to_owned()),
        (names::FINAL.to_owned(), last.to_string()),
    ])
}

fn packet(identity: &str, value: Value) -> DataPacket {
    let participant_identity = identity.to_owned();
    DataPacket { participant_identity, value: Some(value), ..DataPacket::default() }
}

fn header(
    id: &str,
    identity: &str,
    attributes: HashMap<String, String>,
    total_length: Option<u64>,
) -> DataPacket {
    let header = Header {
        stream_id: id.to_owned(),
        timestamp: crate::host::pace::wall_ms() as i64,
        topic: names::TRANSCRIPTION.to_owned(),
        mime_type: "text/plain".to_owned(),
        total_length,
        attributes,
        content_header: Some(ContentHeader::TextHeader(TextHeader {
            generated: true,
            ..TextHeader::default()
        })),
        ..Header::default()
    };
    packet(identity, Value::StreamHeader(header))
}

fn chunk(id: &str, identity: &str, index: u64, piece: &str) -> DataPacket {
    let chunk = Chunk {
        stream_id: id.to_owned(),
        chunk_index: index,
        content: piece.as_bytes().to_vec(),
        ..Chunk::default()
    };
    packet(identity, Value::StreamChunk(chunk))
}

fn trailer(id: &str, identity: &str, attributes: HashMap<String, String>) -> DataPacket {
    let stream_id = id.to_owned();
    let trailer = Trailer { stream_id, attributes, ..Trailer::default() };
    packet(identity, Value::StreamTrailer(trailer))
}

/// The older form, which some components still read.
fn old(source: Source<'_>, segment: &str, text: &str, last: bool) -> DataPacket {
    let segment = TranscriptionSegment {
        id: segment.to_owned(),
        text: text.chars().take(CHUNK_MAX / 4).collect(),
        r#final: last,
        ..TranscriptionSegment::default()
    };
    let transcription = Transcription {
        transcribed_participant_identity: source.identity.to_owned(),
        track_id: source.track.to_owned(),
        segments: vec![segment],
    };
    DataPacket { value: Some(Value::Transcription(transcription)), ..DataPacket::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn herald() -> Herald {
        Herald::new("PA_1", "agent", "TR_1")
    }

    /// What a client would show: by segment, the text and whether it is final, in order.
    fn shown(packets: &[DataPacket]) -> Vec<(String, String, bool, String)> {
        let mut streams: Vec<(String, String, String, bool, String)> = Vec::new();
        for packet in packets {
            let from = packet.participant_identity.clone();
            match packet.value.as_ref().unwrap() {
                Value::StreamHeader(header) => {
                    let segment = header.attributes[names::SEGMENT].clone();
                    let last = header.attributes[names::FINAL] == "true";
                    streams.push((header.stream_id.clone(), segment, String::new(), last, from));
                }
                Value::StreamChunk(chunk) => {
                    let stream = streams.iter_mut().find(|s| s.0 == chunk.stream_id).unwrap();
                    stream.2.push_str(std::str::from_utf8(&chunk.content).unwrap());
                }
                Value::StreamTrailer(trailer) => {
                    let stream = streams.iter_mut().find(|s| s.0 == trailer.stream_id).unwrap();
                    stream.3 |= trailer.attributes.get(names::FINAL).is_some_and(|f| f == "true");
                }
                _ => {}
            }
        }
        streams
            .into_iter()
            .map(|(_, segment, text, last, from)| (segment, text, last, from))
            .collect()
    }

    #[test]
    fn a_participants_words_replace_each_other_until_the_last() {
        let mut herald = herald();
        let mut packets = Vec::new();
        let ann = Source { identity: "ann", track: "TR_ann" };
        let key = (LaneId(2), UtteranceId(5));
        herald.heard(ann, key, ("where", false), &mut packets);
        herald.heard(ann, key, ("where is it", true), &mut packets);
        let segment = "PA_1-user-2-5".to_owned();
        assert_eq!(
            shown(&packets),
            [
                (segment.clone(), "where".into(), false, "ann".into()),
                (segment, "where is it".into(), true, "ann".into())
            ]
        );
        packets.clear();
        herald.heard(ann, (LaneId(2), UtteranceId(6)), ("", true), &mut packets);
        assert_eq!(packets, [], "a cough is nothing to show");
    }

    #[test]
    fn the_agents_text_grows_and_is_closed() {
        let mut herald = herald();
        let mut packets = Vec::new();
        herald.announced(ItemId(0), "Good day to you.".into());
        herald.said(ItemId(0), 4, &mut packets);
        herald.said(ItemId(0), 8, &mut packets);
        herald.over(ItemId(0), None, &mut packets);
        let expected = ("PA_1-agent-0-1".into(), "Good day to you.".into(), true, "agent".into());
        assert_eq!(shown(&packets), [expected]);
    }

    #[test]
    fn what_was_cut_ends_there_and_what_goes_on_is_another_segment() {
        let mut herald = herald();
        let mut packets = Vec::new();
        herald.announced(ItemId(0), "Good day to you.".into());
        herald.said(ItemId(0), 4, &mut packets);
        herald.over(ItemId(0), Some(8), &mut packets);
        herald.over(ItemId(0), None, &mut packets);
        herald.announced(ItemId(1), "Never heard.".into());
        herald.over(ItemId(1), Some(0), &mut packets);
        let agent = || "agent".to_owned();
        assert_eq!(
            shown(&packets),
            [
                ("PA_1-agent-0-1".into(), "Good day".into(), true, agent()),
                ("PA_1-agent-0-2".into(), " to you.".into(), true, agent())
            ]
        );
    }

    #[test]
    fn long_texts_are_sent_in_pieces_of_whole_characters() {
        let mut herald = herald();
        let mut packets = Vec::new();
        let text = "\u{fc}".repeat(CHUNK_MAX);
        let ann = Source { identity: "ann", track: "" };
        herald.heard(ann, (LaneId(0), UtteranceId(0)), (&text, true), &mut packets);
        assert_eq!(shown(&packets)[0].1, text);
    }
}
