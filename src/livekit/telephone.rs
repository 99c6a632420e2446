//! Telephones: a call that is passed on to one, or one that is brought into the room, by the server's API.
//!
//! LiveKit's server speaks SIP through a service beside it. A cold transfer has the caller's own telephone
//! call the other one (SIP REFER), so it needs a caller who came by telephone. A warm one has the server call
//! from one of its outbound trunks, and the one who answers is a participant of the room.
//!
//! **Invariant:** a transfer has exactly one outcome, within its time; what the server answers is bounded.

use std::time::Duration;

use livekit_protocol::{
    CreateSipParticipantRequest, SipOutboundConfig, SipParticipantInfo,
    TransferSipParticipantRequest,
};
use prost::Message;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::api::ask;
use super::token::Key;
use crate::session::output::RpcError;

/// Transfers under way at most in a room: a call is passed on once, or a few are tried.
pub const TRANSFERS_MAX: usize = 4;

/// The server's service for telephones.
const SIP: &str = "SIP";

/// What is kept for the server's word after a telephone has rung for as long as it may.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A telephone rings so long at most: the SIP service takes no more.
const RINGING_MAX: Duration = Duration::from_secs(80);

/// The server's API for telephones, with what opens it.
#[derive(Clone, Debug)]
pub struct Telephones {
    /// The key; none with a token of somebody else's, which allows no calls.
    pub key: Option<Key>,
    /// The outbound trunk for warm transfers to numbers (`ST_…`).
    pub trunk: Option<String>,
}

/// A transfer that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The room's name.
    pub room: String,
    /// The identity of the one whose call it is; none if there is nobody.
    pub caller: Option<String>,
    /// The other end.
    pub to: Dialled,
    /// Whether it is brought into the room, instead of the caller being sent there.
    pub warm: bool,
    /// How long the outcome is waited for.
    pub patience: Duration,
}

/// The address of a telephone: `tel:` and a number, `sip:` or `sips:` and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    uri: String,
    /// The number, or the user at the host.
    user: String,
    /// Of a SIP address: where the user is.
    host: Option<String>,
}

impl Dialled {
    /// Reads an address; none if it is an identity of a participant.
    #[must_use]
    pub fn read(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = text.split_once(':')?;
        let is_sip = match scheme {
            "tel" => false,
            "sip" | "sips" => true,
            _ => return None,
        };
        Some(Self::of(text, rest, is_sip))
    }

    fn of(text: &str, rest: &str, is_sip: bool) -> Result<Self, String> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
        if rest.contains(strange) {
            return Err(format!("{text:?} has characters that no telephone's address has"));
        }
        let uri = text.to_owned();
        // What follows are parameters.
        let address = rest.split([';', '?']).next().unwrap_or_default();
        if !is_sip {
            let number: String =
                address.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
            let digits = number.strip_prefix('+').unwrap_or(&number);
            let is_number = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#');
            if digits.is_empty() || !digits.chars().all(is_number) {
                return Err(format!("{text:?} is no number; write it as in tel:+15105550100"));
            }
            return Ok(Self { uri, user: number, host: None });
        }
        match address.split_once('@') {
            Some((user, host)) if !user.is_empty() && !host.is_empty() && !host.contains('@') => {
                Ok(Self { uri, user: user.to_owned(), host: Some(host.to_owned()) })
            }
            _ => Err(format!("{text:?} is no address; write it as in sip:desk@example.org")),
        }
    }
}

impl Telephones {
    /// Passes a call on: the result, as JSON, once the other end has answered. Of a warm transfer it is
    /// `{"participant": IDENTITY}`, of a cold one null.
    ///
    /// # Errors
    /// There is no key or no trunk, the server refuses, the other end does not answer or is busy, or it
    /// takes too long.
    pub async fn transfer(
        self,
        address: &Address,
        tls: &TlsConnector,
        transfer: Transfer,
    ) -> Result<String, RpcError> {
        let Some(key) = &self.key else {
            return Err(failed(
                "telephones need the server's API key; this agent came with a token",
            ));
        };
        let patience = transfer.patience;
        let ringing = patience.saturating_sub(LAST_WORD).clamp(LAST_WORD, RINGING_MAX);
        let doing = async {
            let token = key.telephony(&transfer.room).map_err(failed)?;
            if transfer.warm {
                let request = self.brought_in(&transfer, ringing)?;
                let asked =
                    ask(address, tls, SIP, "CreateSIPParticipant", (token.secret(), &request));
                let answer = asked.await.map_err(failed)?;
                let info = SipParticipantInfo::decode(&*answer)
                    .map_err(|_| failed("the server's answer is no participant"))?;
                Ok(serde_json::json!({ "participant": info.participant_identity }).to_string())
            } else {
                let request = sent_there(transfer, ringing)?;
                let asked =
                    ask(address, tls, SIP, "TransferSIPParticipant", (token.secret(), &request));
                asked.await.map_err(failed)?;
                Ok("null".to_owned())
            }
        };
        timeout(patience, doing).await.unwrap_or_else(|_| {
            Err(RpcError::new(RpcError::TIMED_OUT, "nobody answered within the time"))
        })
    }

    fn brought_in(
        &self,
        transfer: &Transfer,
        ringing: Duration,
    ) -> Result<CreateSipParticipantRequest, RpcError> {
        let Dialled { user, host, .. } = &transfer.to;
        let trunk = host.as_ref().map(|host| SipOutboundConfig {
            hostname: host.clone(),
            ..SipOutboundConfig::default()
        });
        let sip_trunk_id = match (&trunk, &self.trunk) {
            (Some(_), _) => String::new(),
            (None, Some(id)) => id.clone(),
            (None, None) => {
                return Err(failed(
                    "no outbound trunk: name one of the LiveKit server's in `livekit.sip_trunk`",
                ));
            }
        };
        let mut request = CreateSipParticipantRequest {
            sip_trunk_id,
            trunk,
            sip_call_to: user.clone(),
            room_name: transfer.room.clone(),
            participant_identity: format!("sip_{user}"),
            wait_until_answered: true,
            play_dialtone: true,
            ..CreateSipParticipantRequest::default()
        };
        request.ringing_timeout.get_or_insert_default().seconds = seconds(ringing);
        Ok(request)
    }
}

fn sent_there(
    transfer: Transfer,
    ringing: Duration,
) -> Result<TransferSipParticipantRequest, RpcError> {
    let Some(participant_identity) = transfer.caller else {
        return Err(failed("there is no caller whose call could be passed on"));
    };
    let mut request = TransferSipParticipantRequest {
        participant_identity,
        room_name: transfer.room,
        transfer_to: transfer.to.uri,
        play_dialtone: true,
        ..TransferSipParticipantRequest::default()
    };
    request.ringing_timeout.get_or_insert_default().seconds = seconds(ringing);
    Ok(request)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn failed(why: impl Into<String>) -> RpcError {
    RpcError::new(RpcError::APPLICATION, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dialled, String> {
        Dialled::read(text).expect("it has a scheme of telephones")
    }

    fn transfer(to: &str) -> Transfer {
        let (room, caller) = ("lobby".to_owned(), Some("sip_1".to_owned()));
        let patience = Duration::from_secs(30);
        Transfer { room, caller, to: read(to).unwrap(), warm: true, patience }
    }

    #[test]
    fn addresses_are_told_from_identities() {
        for identity in ["nurse", "nurse:1", "", "TEL:1"] {
            assert_eq!(Dialled::read(identity), None, "{identity}");
        }
        let number = read("tel:+1-510-555-0100;ext=7").unwrap();
        assert_eq!((number.user.as_str(), number.host), ("+15105550100", None));
        assert_eq!(number.uri, "tel:+1-510-555-0100;ext=7");
        let address = read("sips:desk@example.org:5061;transport=tls").unwrap();
        assert_eq!(
            (address.user.as_str(), address.host.as_deref()),
            ("desk", Some("example.org:5061"))
        );
        for wrong in [
            "tel:",
            "tel:abc",
            "tel:+1 2",
            "sip:desk",
            "sip:@x",
            "sip:a@",
            "sip:a@b\r\nX: y",
            "tel:1>",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_is_called_from_the_trunk_and_an_address_at_its_host() {
        let telephones = Telephones { key: None, trunk: Some("ST_1".to_owned()) };
        let ringing = Duration::from_secs(29);
        let number = telephones.brought_in(&transfer("tel:+15105550100"), ringing).unwrap();
        assert_eq!(
            (number.sip_trunk_id.as_str(), number.sip_call_to.as_str()),
            ("ST_1", "+15105550100")
        );
        assert!(number.trunk.is_none() && number.wait_until_answered);
        assert_eq!(number.ringing_timeout.map(|time| time.seconds), Some(29));
        let address = telephones.brought_in(&transfer("sip:desk@example.org"), ringing).unwrap();
        assert_eq!((address.sip_trunk_id.as_str(), address.sip_call_to.as_str()), ("", "desk"));
        assert_eq!(address.trunk.map(|trunk| trunk.hostname).as_deref(), Some("example.org"));
        let none = Telephones { key: None, trunk: None };
        let error = none.brought_in(&transfer("tel:1"), ringing).unwrap_err();
        assert!(error.message.contains("livekit.sip_trunk"), "{error}");
        let nobody = Transfer { caller: None, ..transfer("tel:1") };
        assert!(sent_there(nobody, ringing).unwrap_err().message.contains("caller"));
    }
}
