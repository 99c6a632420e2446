//! What models are asked, and what they answer.
//!
//! ```text
//! Message* ──▶ ModelRequest ──▶ provider ──▶ ModelDelta* ──▶ Assembler ──▶ Response
//! ```
//!
//! These are the words of every provider; what each calls them on the wire is its own affair.
//!
//! **Invariant:** values only: whatever a provider sends, an [`Assembler`] makes a
//! bounded response of it, or an error with a kind.

pub mod assemble;
pub mod error;
pub mod message;
pub mod request;
pub mod response;

pub use assemble::Assembler;
pub use error::{ErrorKind, ModelError};
pub use message::{Call, CallResult, Message, Part, Role, ToolOutput};
pub use request::{Declaration, ModelRef, ModelRequest, Params, ResponseFormat, ToolChoice};
pub use response::{FinishReason, ModelDelta, Response, Usage};
