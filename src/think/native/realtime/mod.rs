//! OpenAI's Realtime protocol.
