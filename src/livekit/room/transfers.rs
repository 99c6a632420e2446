//! Calls that are being passed on to telephones, beside everything else.
//!
//! **Invariant:** a transfer has one outcome, unless its stay ends before: then nobody waits for one.

use tokio::task::JoinSet;

use super::Options;
use crate::host::tools::RoomCall;
use crate::livekit::telephone::{TRANSFERS_MAX, Transfer};
use crate::session::output::RpcError;

/// Those of one stay; they end with it.
#[derive(Debug, Default)]
pub(super) struct Transfers(JoinSet<()>);

impl Transfers {
    /// Has the server pass a call on.
    pub(super) fn begin(&mut self, options: &Options, transfer: Transfer, call: RoomCall) {
        while self.0.try_join_next().is_some() {}
        if self.0.len() == TRANSFERS_MAX {
            let busy = RpcError::new(RpcError::APPLICATION, "too many calls are being passed on");
            return call.finish(Err(busy));
        }
        let Options { address, tls, telephones, .. } = options.clone();
        self.0.spawn_local(async move {
            call.finish(telephones.transfer(&address, &tls, transfer).await);
        });
    }
}
