//! Text streams of others, put together: a header, chunks and a trailer, or a header with all in it.
//!
//! **Invariant:** however many streams are begun and never ended, what is held stays bounded: by stream,
//! by sender and in all.

use std::collections::{BTreeMap, VecDeque};

use livekit_protocol::data_stream::header::ContentHeader;
use livekit_protocol::data_stream::{Chunk, CompressionType, Header, Trailer};

/// The longest text of a stream, in bytes; longer ones are dropped.
pub const TEXT_MAX: usize = 64 << 10;

/// Streams under way at most, of one sender.
const STREAMS_OF_ONE: usize = 8;

/// Streams under way at most, in all: beyond, the oldest is dropped.
const STREAMS_MAX: usize = 64;

/// The longest name of a stream, and of its topic, in bytes.
const NAME_MAX: usize = 256;

/// A text that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it is about, such as `lk.chat`.
    pub topic: String,
    /// The identity of who sent it.
    pub from: String,
    /// The text.
    pub text: String,
    /// The sender's attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Why a piece of a stream was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Useless {
    /// It is no text, but bytes.
    Bytes,
    /// It is compressed, which nobody was asked to do.
    Compressed,
    /// The stream is longer, or its names are, than what is taken.
    Oversized,
    /// It belongs to no stream, or not where it stands.
    Stray,
    /// The stream is no text in UTF-8.
    Malformed,
}

/// The streams under way.
#[derive(Debug, Default)]
pub struct Streams {
    /// In the order in which they were begun.
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    id: String,
    next: u64,
    bytes: Vec<u8>,
    text: Text,
}

impl Streams {
    /// A stream begins; it may be complete at once.
    ///
    /// # Errors
    /// It is not taken.
    pub fn begin(&mut self, from: &str, header: Header) -> Result<Option<Text>, Useless> {
        if header.compression != CompressionType::None as i32 {
            return Err(Useless::Compressed);
        }
        if !matches!(header.content_header, Some(ContentHeader::TextHeader(_))) {
            return Err(Useless::Bytes);
        }
        let size = header.total_length.unwrap_or(0);
        let names = [&header.stream_id, &header.topic];
        let attributes: usize = header.attributes.len();
        if size > TEXT_MAX as u64
            || names.iter().any(|name| name.len() > NAME_MAX)
            || attributes > ATTRIBUTES_MAX
        {
            return Err(Useless::Oversized);
        }
        let text = Text {
            topic: header.topic,
            from: from.to_owned(),
            text: String::new(),
            attributes: header.attributes.into_iter().collect(),
        };
        let mut open = Open { id: header.stream_id, next: 0, bytes: Vec::new(), text };
        if let Some(content) = header.inline_content {
            open.add(&content)?;
            return open.finish().map(Some);
        }
        // One of the same name is begun anew.
        self.open.retain(|other| other.id != open.id || other.text.from != from);
        if self.open.iter().filter(|other| other.text.from == from).count() >= STREAMS_OF_ONE {
            let oldest = self.open.iter().position(|other| other.text.from == from);
            oldest.map(|at| self.open.remove(at));
        } else if self.open.len() >= STREAMS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(open);
        Ok(None)
    }

    /// A piece of a stream comes.
    ///
    /// # Errors
    /// It is not taken, and neither is the rest of its stream.
    pub fn add(&mut self, from: &str, chunk: &Chunk) -> Result<(), Useless> {
        let at = self.find(from, &chunk.stream_id).ok_or(Useless::Stray)?;
        let open = &mut self.open[at];
        let added = if open.next == chunk.chunk_index {
            open.next += 1;
            open.add(&chunk.content)
        } else {
            Err(Useless::Stray)
        };
        if added.is_err() {
            self.open.remove(at);
        }
        added
    }

    /// A stream ends.
    ///
    /// # Errors
    /// There is none, or it is no text.
    pub fn end(&mut self, from: &str, trailer: Trailer) -> Result<Text, Useless> {
        let at = self.find(from, &trailer.stream_id).ok_or(Useless::Stray)?;
        let Some(mut open) = self.open.remove(at) else { return Err(Useless::Stray) };
        if open.text.attributes.len() + trailer.attributes.len() > ATTRIBUTES_MAX {
            return Err(Useless::Oversized);
        }
        open.text.attributes.extend(trailer.attributes);
        open.finish()
    }

    /// Who has gone ends no stream any more.
    pub fn forget(&mut self, from: &str) {
        self.open.retain(|open| open.text.from != from);
    }

    fn find(&self, from: &str, id: &str) -> Option<usize> {
        self.open.iter().position(|open| open.id == id && open.text.from == from)
    }
}

/// Attributes of a stream at most.
const ATTRIBUTES_MAX: usize = 64;

impl Open {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Useless> {
        if self.bytes.len() + bytes.len() > TEXT_MAX {
            return Err(Useless::Oversized);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Text, Useless> {
        let text = String::from_utf8(self.bytes).map_err(|_| Useless::Malformed)?;
        Ok(Text { text, ..self.text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol::data_stream::{ByteHeader, TextHeader};

    fn header(id: &str) -> Header {
        Header {
            stream_id: id.to_owned(),
            topic: "lk.chat".to_owned(),
            content_header: Some(ContentHeader::TextHeader(TextHeader::default())),
            ..Header::default()
        }
    }

    fn chunk(id: &str, index: u64, text: &[u8]) -> Chunk {
        let (stream_id, content) = (id.to_owned(), text.to_vec());
        Chunk { stream_id, chunk_index: index, content, ..Chunk::default() }
    }

    fn trailer(id: &str) -> Trailer {
        Trailer { stream_id: id.to_owned(), ..Trailer::default() }
    }

    #[test]
    fn pieces_become_a_text_even_where_a_character_is_cut() {
        let mut streams = Streams::default();
        assert_eq!(streams.begin("ann", header("1")), Ok(None));
        let bytes = "gr\u{fc}n".as_bytes();
        streams.add("ann", &chunk("1", 0, &bytes[..3])).unwrap();
        // Another's stream of the same name is another one.
        assert_eq!(streams.add("bob", &chunk("1", 1, b"x")), Err(Useless::Stray));
        streams.add("ann", &chunk("1", 1, &bytes[3..])).unwrap();
        let text = streams.end("ann", trailer("1")).unwrap();
        assert_eq!((text.text.as_str(), text.topic.as_str()), ("gr\u{fc}n", "lk.chat"));
        assert_eq!(streams.end("ann", trailer("1")), Err(Useless::Stray));
    }

    #[test]
    fn a_short_text_comes_in_its_header() {
        let inline = Header { inline_content: Some(b"hello".to_vec()), ..header("1") };
        let text = Streams::default().begin("ann", inline).unwrap().unwrap();
        assert_eq!(text.text, "hello");
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let mut streams = Streams::default();
        let bytes = Some(ContentHeader::ByteHeader(ByteHeader::default()));
        let named = |header| Streams::default().begin("ann", header).unwrap_err();
        assert_eq!(named(Header { content_header: bytes, ..header("1") }), Useless::Bytes);
        let deflated = CompressionType::DeflateRaw as i32;
        assert_eq!(named(Header { compression: deflated, ..header("1") }), Useless::Compressed);
        assert_eq!(
            named(Header { total_length: Some(1 << 40), ..header("1") }),
            Useless::Oversized
        );
        streams.begin("ann", header("1")).unwrap();
        streams.add("ann", &chunk("1", 0, &[0xff])).unwrap();
        assert_eq!(streams.end("ann", trailer("1")), Err(Useless::Malformed));
        streams.begin("ann", header("2")).unwrap();
        assert_eq!(streams.add("ann", &chunk("2", 1, b"x")), Err(Useless::Stray));
        streams.begin("ann", header("3")).unwrap();
        assert_eq!(
            streams.add("ann", &chunk("3", 0, &vec![b'x'; TEXT_MAX + 1])),
            Err(Useless::Oversized)
        );
        assert_eq!(streams.open.len(), 0);
    }

    #[test]
    fn streams_that_never_end_do_not_pile_up() {
        let mut streams = Streams::default();
        for n in 0..1_000 {
            let from = format!("sender {}", n % 20);
            streams.begin(&from, header(&n.to_string())).unwrap();
        }
        assert_eq!(streams.open.len(), STREAMS_MAX);
        for n in 0..1_000 {
            streams.begin("ann", header(&n.to_string())).unwrap();
        }
        let of_ann = streams.open.iter().filter(|open| open.text.from == "ann").count();
        assert_eq!(of_ann, STREAMS_OF_ONE);
        streams.forget("ann");
        assert!(streams.open.iter().all(|open| open.text.from != "ann"));
    }
}
