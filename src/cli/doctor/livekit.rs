//! Whether the LiveKit server can be reached, and accepts the key.

use serde_json::json;

use super::DoctorArgs;
use super::finding::Finding;
use crate::livekit::address::Address;
use crate::livekit::reach::{Reached, Step, TIME, Unreached, reach};

/// A clock that is off by more is told, in milliseconds: tokens are good for ten minutes.
const SKEW_MS: i64 = 30_000;

/// What to do about a name without an address.
const NAMES: &str =
    "check the name in LIVEKIT_URL, and this machine's name servers (`getent hosts` and the name)";

pub(super) fn livekit(args: &DoctorArgs) -> Finding {
    let server = &args.server;
    if !server.has_url() {
        return Finding::skipped(
            "no server is named",
            "set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or give --url, if calls are to be held in rooms",
        );
    }
    let mut wrong = Vec::new();
    let address = server.address(&mut wrong);
    let (key, tls) = (server.key("", &mut wrong), server.tls(&mut wrong));
    let (Some(address), Some(key), Some(tls)) = (address, key, tls) else {
        return Finding::failed("the server cannot be asked", wrong.join("\n"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let remedy = "end other programs, or raise the limit of open files (`ulimit -n`)";
            return Finding::failed(format!("no network: {error}"), remedy);
        }
    };
    let told = runtime.block_on(reach(&address, &tls, &key));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    judged(&address, told).with(json!({ "url": address.to_string() }))
}

fn judged(address: &Address, told: Result<Reached, Unreached>) -> Finding {
    match told {
        Ok(reached) => let_in(address, reached),
        Err(why) => {
            let (found, remedy) = told_why(address, &why);
            Finding::failed(format!("{address}: {found}"), remedy)
        }
    }
}

fn let_in(address: &Address, reached: Reached) -> Finding {
    let Reached { connect_ms, answer_ms, ahead_ms } = reached;
    let found = format!(
        "{address} lets an agent in: connected after {connect_ms:.1} ms, answered after {answer_ms:.1} ms"
    );
    let finding = match ahead_ms {
        Some(ahead) if ahead.abs() > SKEW_MS => Finding::warning(
            format!("{found}; {}", skew(ahead)),
            "set the clock (`timedatectl set-ntp true`), before tokens are refused",
        ),
        _ => Finding::ok(found),
    };
    let tenths = |ms: f64| (ms * 10.0).round() / 10.0;
    finding.with(json!({
        "connect_ms": tenths(connect_ms), "answer_ms": tenths(answer_ms), "clock_ahead_ms": ahead_ms
    }))
}

fn skew(ahead_ms: i64) -> String {
    let seconds = ahead_ms.unsigned_abs() / 1_000;
    let way = if ahead_ms < 0 { "behind" } else { "ahead of" };
    format!("this machine's clock is {seconds} s {way} the server's")
}

/// What was found, and what to do.
fn told_why(address: &Address, why: &Unreached) -> (String, String) {
    let (host, port) = (&address.host, address.port);
    match why {
        Unreached::Name(why) => (
            format!("no address for `{host}` ({why})"),
            NAMES.to_owned(),
        ),
        Unreached::Connection { refused: true, why } => (
            format!("nobody listens there ({why})"),
            format!(
                "start the server, or check the port: LiveKit's own listens on 7880, behind TLS on 443; here it is {port}"
            ),
        ),
        Unreached::Connection { refused: false, why } => (
            format!("no connection ({why})"),
            format!("check this machine's network, and that a firewall lets TCP through to {host}, port {port}"),
        ),
        Unreached::Tls(why) => (
            format!("no encrypted connection: {why}"),
            "use ws:// for a server without TLS; name an authority of your own with --ca".to_owned(),
        ),
        Unreached::Late(step) => {
            let (what, remedy) = match step {
                Step::Address => ("its address", NAMES.to_owned()),
                Step::Connection => (
                    "a connection",
                    format!("check that a firewall lets TCP through to {host}, port {port}"),
                ),
                Step::Encryption => ("encryption", "use ws:// for a server without TLS".to_owned()),
                Step::Answer => (
                    "an answer",
                    format!("see that a LiveKit server has {host}, port {port}, and what its log says"),
                ),
            };
            (format!("{what} did not come within {} s", TIME.as_secs()), remedy)
        }
        Unreached::Unauthorised(why) => (
            format!("it is reached, and does not accept the key ({why})"),
            "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET: they belong together, and to this server (`keys` in its \
             configuration, or the settings of the project)"
                .to_owned(),
        ),
        Unreached::Clock(ahead) => (
            format!("it is reached, and does not accept the token: {}", skew(*ahead)),
            "set the clock (`timedatectl set-ntp true`): a token is good from one moment to another".to_owned(),
        ),
        Unreached::Other(why) => (
            why.clone(),
            "check that LIVEKIT_URL is a LiveKit server, 1.9.2 or later, and what its log says".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn every_failure_has_a_remedy_of_its_own() {
        let address: Address = "wss://rooms.example".parse().unwrap();
        let all = [
            Unreached::Name("unknown".to_owned()),
            Unreached::Connection { refused: true, why: "refused".to_owned() },
            Unreached::Connection { refused: false, why: "no route".to_owned() },
            Unreached::Tls("not trusted".to_owned()),
            Unreached::Late(Step::Answer),
            Unreached::Unauthorised("invalid API key".to_owned()),
            Unreached::Clock(-7_200_000),
            Unreached::Other("it is a teapot".to_owned()),
        ];
        let mut remedies: Vec<_> = all.iter().map(|why| told_why(&address, why).1).collect();
        remedies.sort();
        remedies.dedup();
        assert_eq!(remedies.len(), all.len());
        assert!(told_why(&address, &all[6]).0.contains("7200 s behind"));
    }

    #[test]
    fn a_clock_that_drifts_away_is_told_before_tokens_are_refused() {
        let address: Address = "ws://127.0.0.1:7880".parse().unwrap();
        let at =
            |ahead_ms| judged(&address, Ok(Reached { connect_ms: 0.4, answer_ms: 1.2, ahead_ms }));
        assert_eq!(at(Some(400)).state, State::Ok);
        assert_eq!(at(None).state, State::Ok);
        assert!(matches!(at(Some(45_000)).state, State::Warning(_)));
    }
}
