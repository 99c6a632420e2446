//! Which configuration a job is for.
//!
//! Of those that are registered for the job's agent name and kind: the one that the dispatch's metadata names, where
//! it is a JSON object with the key `config`; or else the first that is for rooms of this name; or else the first
//! that is not for certain rooms only. Nothing in a job is ever taken for a path.

use crate::config::{Livekit, named};
use crate::livekit::worker::Job;
use crate::talk::near::suggestion;

/// The configuration for a job, of those of such names that are so in rooms: its place among them, or why there is none.
pub(super) fn choose(served: &[(String, Livekit)], job: &Job) -> Result<usize, String> {
    if let Some(name) = named(&job.metadata, "config") {
        return served.iter().position(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = served.iter().map(|(known, _)| known.as_str()).collect();
            let remedy = suggestion(&name, "configurations", &known);
            format!("there is no configuration `{}`; {remedy}", shown(&name))
        });
    }
    let by_room = served.iter().position(|(_, livekit)| livekit.is_for(&job.room));
    let general = || served.iter().position(|(_, livekit)| livekit.rooms.is_empty());
    by_room.or_else(general).ok_or_else(|| {
        format!("no configuration is for the room `{}`: see `livekit.rooms`", shown(&job.room))
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, rooms: &[&str]) -> (String, Livekit) {
        let rooms = rooms.iter().map(|&pattern| pattern.to_owned()).collect();
        (name.to_owned(), Livekit { rooms, ..Livekit::default() })
    }

    #[test]
    fn metadata_goes_before_the_rooms_name_and_that_before_the_first() {
        let served = [known("shoes", &["shoes-*"]), known("hats", &["hats-*"]), known("all", &[])];
        let chosen = |served: &[(String, Livekit)], room: &str, metadata: &str| {
            let (room, metadata) = (room.to_owned(), metadata.to_owned());
            let job = Job { room, metadata, ..Job::default() };
            choose(served, &job).map(|at| served[at].0.clone())
        };
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
