//! Tools that a room carries out: a method of a participant, or data sent to participants.
//!
//! What a call means is said by the configuration; who is in touch with the room does it. Where there is
//! no room, in virtual time for one, such a call fails and says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Tool, ToolContext};

/// A method of a participant, called by remote procedure call. The arguments are the payload, as JSON;
/// the answer is the result, as JSON where it is JSON and as text otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rpc {
    /// The method, as the participant has registered it.
    // 64 bytes are LiveKit's bound.
    #[schemars(length(min = 1, max = 64))]
    pub method: String,
    /// The identity of the participant. Without it, the one whose turn is being answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub to: Option<String>,
}

/// Data sent to participants: the arguments, as JSON. Such a call is done as soon as it is sent, with
/// the result null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// What it is about, for who receives it.
    #[schemars(length(min = 1, max = 200))]
    pub topic: String,
    /// Whether it is sent until it has arrived. Default true.
    #[serde(default = "yes")]
    pub reliable: bool,
    /// The identity of the only participant who receives it. Without it, everybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub to: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Passing the call on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// `tel:` and a number, `sip:` and an address, or the identity of a participant of the room.
    pub to: String,
    /// Whether the agent leaves.
    #[serde(default)]
    pub mode: TransferMode,
}

/// Whether the agent leaves when a call is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferMode {
    /// It does.
    #[default]
    Cold,
    /// It stays, with the one who was brought in.
    Warm,
}

impl Transfer {
    /// Whether the agent stays.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.mode == TransferMode::Warm
    }
}

/// The pattern of [`Digits`].
pub const KEYS: &str = "^[0-9A-D*#]{1,32}$";

/// Keys of a telephone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    /// 1 to 32 of 0 to 9, A to D, `*` and `#`.
    pub digits: String,
}

impl Digits {
    /// Whether they are keys, and not too many.
    #[must_use]
    pub fn are_keys(&self) -> bool {
        let key = |c| matches!(c, '0'..='9' | 'A'..='D' | '*' | '#');
        (1..=32).contains(&self.digits.len()) && self.digits.chars().all(key)
    }
}

/// What a call asks of the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomTool {
    /// A method of a participant.
    Rpc(Rpc),
    /// Data to participants.
    Data(Data),
    /// Passing the call on: [`Transfer`] are the arguments.
    Transfer,
    /// Pressing keys at the other end: [`Digits`] are the arguments.
    Digits,
}

/// What stands for the room where there is none.
impl Tool for RoomTool {
    fn call(&self, _context: &ToolContext, _arguments: &Value) -> Result<Value, String> {
        let (does, what) = match self {
            Self::Rpc(rpc) => ("answer method", &rpc.method),
            Self::Data(data) => ("receive data on", &data.topic),
            Self::Transfer => return Err("there is no room to pass the call on from".to_owned()),
            Self::Digits => return Err("there is no room whose telephones have keys".to_owned()),
        };
        Err(format!("there is no room whose participants could {does} `{what}`"))
    }
}
