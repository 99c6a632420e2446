//! What lets a participant into a room: tokens, and the key that mints them.
//!
//! **Invariant:** a key's secret and a token are never part of a text that is shown: not in errors, not
//! in `Debug`.

use std::fmt;
use std::time::Duration;

use livekit_protocol::{RoomAgentDispatch, RoomConfiguration};
use livekit_token::{AccessToken, Claims, SIPGrants, VideoGrants};

/// How long a token of ours lets in: long enough for a slow start. Who is in the room stays, and gets
/// fresh tokens from the server.
pub const TOKEN_TTL: Duration = Duration::from_secs(10 * 60);

/// The longest token, in characters; attributes make them long.
pub const TOKEN_LEN_MAX: usize = 64 << 10;

/// The longest name of a room or a participant, in characters.
pub const NAME_LEN_MAX: usize = 256;

/// A key of a server, with its secret.
#[derive(Clone)]
pub struct Key {
    key: String,
    secret: String,
}

/// The secret is not for logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, …)", self.key)
    }
}

impl Key {
    /// A key and its secret.
    ///
    /// # Errors
    /// One of them is empty; in words.
    pub fn new(key: &str, secret: &str) -> Result<Self, String> {
        let (key, secret) = (key.trim().to_owned(), secret.trim().to_owned());
        if key.is_empty() || secret.is_empty() {
            return Err("the API key and the API secret must not be empty".to_owned());
        }
        Ok(Self { key, secret })
    }

    /// The key and its secret, for the environment of a program of this one's own.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        (&self.key, &self.secret)
    }

    /// A token of an agent for a room, with all that an agent does there.
    ///
    /// # Errors
    /// The token cannot be made; in words.
    pub fn agent(&self, room: &str, identity: &str, name: &str) -> Result<Pass, String> {
        let grants = VideoGrants {
            room_join: true,
            room: room.to_owned(),
            can_publish: Some(true),
            can_subscribe: Some(true),
            can_publish_data: Some(true),
            can_update_own_metadata: Some(true),
            agent: true,
            ..VideoGrants::default()
        };
        self.mint(grants, identity, name, (AGENT, None))
    }

    /// A token of a person for a room: microphone, data, and to hear others. No more than that. Where the room begins
    /// with them, the agent of the name `dispatch` is asked for.
    ///
    /// # Errors
    /// The token cannot be made; in words.
    pub fn visitor(
        &self,
        room: &str,
        identity: &str,
        name: &str,
        dispatch: Option<&str>,
    ) -> Result<Pass, String> {
        let grants = VideoGrants {
            room_join: true,
            room: room.to_owned(),
            can_publish: Some(true),
            can_publish_sources: vec!["microphone".to_owned()],
            can_subscribe: Some(true),
            can_publish_data: Some(true),
            can_update_own_metadata: Some(true),
            ..VideoGrants::default()
        };
        let dispatch = dispatch.map(|agent_name| RoomAgentDispatch {
            agent_name: agent_name.to_owned(),
            ..RoomAgentDispatch::default()
        });
        self.mint(grants, identity, name, ("standard", dispatch))
    }

    /// A token for the server's API: telephones may be called for this room.
    ///
    /// # Errors
    /// The token cannot be made; in words.
    pub fn telephony(&self, room: &str) -> Result<Pass, String> {
        let sip = SIPGrants { call: true, ..SIPGrants::default() };
        signed(self.grant(room_admin(room)).with_sip_grants(sip))
    }

    /// A token for the server's API: a room, and who is dispatched to it.
    ///
    /// # Errors
    /// The token cannot be made; in words.
    pub fn admin(&self, room: &str) -> Result<Pass, String> {
        signed(self.grant(room_admin(room)))
    }

    /// A token of a worker, to whom the server dispatches jobs.
    ///
    /// # Errors
    /// The token cannot be made; in words.
    pub fn worker(&self) -> Result<Pass, String> {
        let grants = VideoGrants { agent: true, ..VideoGrants::default() };
        signed(self.grant(grants))
    }

    fn mint(
        &self,
        grants: VideoGrants,
        identity: &str,
        name: &str,
        (kind, dispatch): (&str, Option<RoomAgentDispatch>),
    ) -> Result<Pass, String> {
        for (what, text) in [("room", grants.room.as_str()), ("identity", identity)] {
            if text.is_empty() || text.chars().count() > NAME_LEN_MAX {
                return Err(format!("the {what} needs 1 to {NAME_LEN_MAX} characters"));
            }
        }
        let token = self.grant(grants).with_identity(identity).with_name(name).with_kind(kind);
        let token = match dispatch {
            Some(agent) => {
                let agents = vec![agent];
                token.with_room_config(RoomConfiguration { agents, ..RoomConfiguration::default() })
            }
            None => token,
        };
        signed(token)
    }

    fn grant(&self, grants: VideoGrants) -> AccessToken {
        AccessToken::with_api_key(&self.key, &self.secret).with_ttl(TOKEN_TTL).with_grants(grants)
    }
}

fn room_admin(room: &str) -> VideoGrants {
    VideoGrants { room_admin: true, room: room.to_owned(), ..VideoGrants::default() }
}

fn signed(token: AccessToken) -> Result<Pass, String> {
    token.to_jwt().map(Pass).map_err(|error| format!("no token could be made: {error}"))
}

/// The kind of a participant that is an agent, in tokens.
const AGENT: &str = "agent";

/// A token: whoever has it may enter as the one it names.
#[derive(Clone)]
pub struct Pass(String);

/// A token is not for logs.
impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(…)")
    }
}

impl Pass {
    /// A token from outside. What it grants is the server's to judge; what it lacks can be
    /// [told](Self::lacks).
    ///
    /// # Errors
    /// It is no token, or one that lets nobody into a room; in words.
    pub fn given(token: &str) -> Result<Self, String> {
        let token = token.trim();
        if token.len() > TOKEN_LEN_MAX {
            return Err(format!("the token has more than {TOKEN_LEN_MAX} characters"));
        }
        let pass = Self(token.to_owned());
        let claims = pass.claims().ok_or(
            "this is not a LiveKit token: three words of base 64 with points between them",
        )?;
        if !claims.video.room_join {
            return Err("this token does not allow to join a room (roomJoin)".to_owned());
        }
        if claims.sub.is_empty() {
            return Err("this token has no identity (sub)".to_owned());
        }
        Ok(pass)
    }

    /// What the server is sent.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Its claims, which only the server can verify.
    fn claims(&self) -> Option<Claims> {
        Claims::from_unverified(&self.0).ok()
    }

    /// The room that it names; empty if any will do.
    #[must_use]
    pub fn room(&self) -> String {
        self.claims().map(|claims| claims.video.room).unwrap_or_default()
    }

    /// The metadata that it gives: what the one who made it wanted to tell the agent.
    #[must_use]
    pub fn metadata(&self) -> String {
        self.claims().map(|claims| claims.metadata).unwrap_or_default()
    }

    /// Whether it lets nobody in any more, so many seconds after 1970.
    #[must_use]
    pub fn has_run_out(&self, unix_s: u64) -> bool {
        self.claims().is_some_and(|claims| (claims.exp as u64) < unix_s)
    }

    /// The identity that it gives.
    #[must_use]
    pub fn identity(&self) -> String {
        self.claims().map(|claims| claims.sub).unwrap_or_default()
    }

    /// What an agent misses for want of it, each in words: nothing, for a token of ours.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        let Some(claims) = self.claims() else { return Vec::new() };
        let grants = claims.video;
        let lacks = [
            (Lack::Kind, claims.kind == AGENT),
            (Lack::Publish, grants.can_publish()),
            (Lack::Subscribe, grants.can_subscribe()),
            (Lack::Data, grants.can_publish_data()),
            (Lack::Attributes, grants.can_update_own_metadata()),
        ];
        lacks.into_iter().filter(|(_, granted)| !granted).map(|(lack, _)| lack).collect()
    }
}

/// A permission that an agent has not got, and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// The token is not of the kind `agent`.
    Kind,
    /// No audio may be published: the agent cannot be heard.
    Publish,
    /// Nobody may be subscribed to: the agent hears nobody.
    Subscribe,
    /// No data may be sent: no transcripts, no answers to RPC.
    Data,
    /// Attributes may not be set: the state is not shown.
    Attributes,
}

impl Lack {
    /// Whether a call makes no sense without it.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Publish | Self::Subscribe)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => {
                "the token's kind is not `agent`: others see an ordinary participant, and LiveKit's \
                 components show no agent"
            }
            Self::Publish => "the token forbids to publish (canPublish): the agent could not be heard",
            Self::Subscribe => {
                "the token forbids to subscribe (canSubscribe): the agent would hear nobody"
            }
            Self::Data => {
                "the token forbids to send data (canPublishData): no transcripts, and no answers to RPC"
            }
            Self::Attributes => {
                "the token forbids to set attributes (canUpdateOwnMetadata): the agent's state is not shown"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("devkey", "a secret of thirty-two characters").unwrap()
    }

    #[test]
    fn an_agents_token_lacks_nothing() {
        let pass = key().agent("lobby", "agent-1", "Ann").unwrap();
        assert_eq!((pass.room().as_str(), pass.identity().as_str()), ("lobby", "agent-1"));
        assert_eq!(pass.lacks(), []);
        let again = Pass::given(&format!(" {}\n", pass.secret())).unwrap();
        assert_eq!(again.secret(), pass.secret());
    }

    #[test]
    fn a_visitors_token_is_no_agents() {
        let pass = key().visitor("lobby", "visitor-1", "Bob", None).unwrap();
        assert_eq!(pass.lacks(), [Lack::Kind]);
        let claims = pass.claims().unwrap().video;
        assert_eq!(claims.can_publish_sources, ["microphone"]);
        assert!(!claims.room_admin && !claims.room_create && !claims.agent);
    }

    #[test]
    fn what_is_missing_is_named() {
        let grants = VideoGrants {
            room_join: true,
            room: "lobby".to_owned(),
            can_publish: Some(false),
            can_publish_data: Some(false),
            ..VideoGrants::default()
        };
        let pass = key().mint(grants, "x", "", ("standard", None)).unwrap();
        assert_eq!(pass.lacks(), [Lack::Kind, Lack::Publish, Lack::Data, Lack::Attributes]);
        assert!(Lack::Publish.is_fatal() && !Lack::Attributes.is_fatal());
    }

    #[test]
    fn a_wrong_token_is_refused_in_words_that_do_not_repeat_it() {
        for wrong in ["", "x", "a.b.c", &"a".repeat(TOKEN_LEN_MAX + 1)] {
            let error = Pass::given(wrong).unwrap_err();
            assert!(error.contains("token"), "{error}");
            assert!(!error.contains("a.b.c"), "{error}");
        }
        assert!(key().agent("", "x", "").unwrap_err().contains("room"));
        assert!(Key::new("k", " ").is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let pass = key().agent("lobby", "agent-1", "Ann").unwrap();
        assert_eq!(format!("{:?} {pass:?}", key()), "Key(devkey, …) Pass(…)");
    }
}
