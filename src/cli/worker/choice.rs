//! Which configuration a job is for.
//!
//! Of those that are registered for the job's agent name and kind: the one that the dispatch's metadata names, where
//! it is a JSON object with the key `config`; or else the first that is for rooms of this name; or else the first
//! that is not for certain rooms only. Nothing in a job is ever taken for a path.

use std::sync::Arc;

use serde_json::Value;

use super::served::Served;
use crate::livekit::worker::Job;
use crate::talk::near::suggestion;

/// What a choice looks at of a configuration.
pub(super) trait Choosable {
    fn name(&self) -> String;
    fn is_for(&self, room: &str) -> bool;
    fn is_particular(&self) -> bool;
}

impl Choosable for Arc<Served> {
    fn name(&self) -> String {
        Served::name(self)
    }

    fn is_for(&self, room: &str) -> bool {
        Served::is_for(self, room)
    }

    fn is_particular(&self) -> bool {
        Served::is_particular(self)
    }
}

/// The configuration for a job, or why there is none.
pub(super) fn choose<'a, T: Choosable>(served: &[&'a T], job: &Job) -> Result<&'a T, String> {
    let metadata = serde_json::from_str::<Value>(&job.metadata).ok();
    if let Some(named) = metadata.as_ref().and_then(|value| value.get("config")) {
        let name = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
        let found = served.iter().find(|it| it.name() == name);
        return found.copied().ok_or_else(|| {
            let known: Vec<String> = served.iter().map(|it| it.name()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            let remedy = suggestion(&name, "configurations", &known);
            format!("there is no configuration `{shown}`; {remedy}")
        });
    }
    let by_room = served.iter().find(|it| it.is_for(&job.room));
    let general = || served.iter().find(|it| !it.is_particular());
    by_room.or_else(general).copied().ok_or_else(|| {
        format!("no configuration is for the room `{}`: see `livekit.rooms`", shown(&job.room))
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known(&'static str, &'static [&'static str]);

    impl Choosable for Known {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn is_for(&self, room: &str) -> bool {
            self.1.iter().any(|known| room.starts_with(known))
        }

        fn is_particular(&self) -> bool {
            !self.1.is_empty()
        }
    }

    #[test]
    fn metadata_goes_before_the_rooms_name_and_that_before_the_first() {
        let (shoes, hats, all) =
            (Known("shoes", &["shoes-"]), Known("hats", &["hats-"]), Known("all", &[]));
        let chosen = |served: &[&Known], room: &str, metadata: &str| {
            let (room, metadata) = (room.to_owned(), metadata.to_owned());
            let job = Job { room, metadata, ..Job::default() };
            choose(served, &job).map(|known| known.0.to_owned())
        };
        let served = [&shoes, &hats, &all];
        assert_eq!(chosen(&served, "hats-1", ""), Ok("hats".into()));
        assert_eq!(chosen(&served, "hats-1", r#"{"config":"shoes"}"#), Ok("shoes".into()));
        assert_eq!(chosen(&served, "lobby", r#"{"conversation":"x"}"#), Ok("all".into()));
        assert_eq!(chosen(&served, "lobby", "no JSON"), Ok("all".into()));
        let wrong = chosen(&served, "lobby", r#"{"config":"../hat"}"#).unwrap_err();
        assert!(wrong.contains("no configuration `../hat`"), "{wrong}");
        let wrong = chosen(&served, "lobby", r#"{"config":7}"#).unwrap_err();
        assert!(wrong.contains("no configuration `7`"), "{wrong}");
        let wrong = chosen(&served[..2], "lobby", "").unwrap_err();
        assert!(wrong.contains("livekit.rooms"), "{wrong}");
    }
}
