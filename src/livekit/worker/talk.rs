//! What is said between a worker and a server: messages into values, and back.
//!
//! **Invariant:** whatever a server sends is bounded, and what cannot be used is ignored.

use livekit_protocol::{
    AvailabilityResponse, JobStatus, JobType, ParticipantPermission, RegisterWorkerRequest,
    ServerMessage, UpdateJobStatus, UpdateWorkerStatus, WorkerMessage, WorkerPing, WorkerStatus,
    server_message, worker_message,
};
use prost::Message as _;

use super::{Answer, Job, JobState, News, Options, Order, Presence, Standing, on_the_wire};
use crate::config::JobKind;
use crate::livekit::token::{NAME_LEN_MAX, Pass};

/// The longest metadata of a job, in bytes; LiveKit's own limit for a room's.
const METADATA_MAX: usize = 64 << 10;

/// The longest text about a failed job, in characters.
const ERROR_MAX: usize = 500;

/// What a server says.
#[derive(Debug)]
pub(super) enum Said {
    /// Something for the owner.
    News(Box<News>),
    /// The connection is about to be closed by the server: register again.
    GoAway,
}

/// Reads a message; none if it is of no use here.
///
/// # Errors
/// It is no message.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Said>, String> {
    use server_message::Message;
    let message = ServerMessage::decode(bytes).map_err(|error| error.to_string())?;
    let news = match message.message {
        Some(Message::Register(it)) => {
            let server = it.server_info.map(|info| info.version).unwrap_or_default();
            Some(News::Registered { worker: it.worker_id, server })
        }
        Some(Message::Availability(it)) => it.job.map(|offer| {
            let id: String = offer.id.chars().take(NAME_LEN_MAX).collect();
            job(offer).map_or(News::Unusable(id), News::Offered)
        }),
        Some(Message::Assignment(it)) => {
            let job = it.job.and_then(job);
            let pass = Pass::given(&it.token).ok();
            let address = it.url.and_then(|url| url.parse().ok());
            job.zip(pass).map(|(job, pass)| News::Assigned { job, pass, address })
        }
        Some(Message::Termination(it)) => {
            Some(News::Terminated(it.job_id.chars().take(NAME_LEN_MAX).collect()))
        }
        Some(Message::GoAway(_)) => return Ok(Some(Said::GoAway)),
        Some(Message::Pong(_)) | None => None,
    };
    Ok(news.map(Box::new).map(Said::News))
}

/// A job, if it can be one: it has an id, and a room to go to.
fn job(job: livekit_protocol::Job) -> Option<Job> {
    let kind = match job.r#type() {
        JobType::JtRoom => JobKind::Room,
        JobType::JtPublisher => JobKind::Publisher,
        JobType::JtParticipant => JobKind::Participant,
    };
    let fits = |text: &str| !text.is_empty() && text.chars().count() <= NAME_LEN_MAX;
    let is_plain = !job.id.starts_with('.')
        && !job.id.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    let room = job.room.unwrap_or_default();
    if !fits(&job.id) || !is_plain || !fits(&room.name) || job.metadata.len() > METADATA_MAX {
        return None;
    }
    let participant = job.participant.map(|info| info.identity).filter(|it| !it.is_empty());
    Some(Job {
        id: job.id,
        dispatch: job.dispatch_id,
        kind,
        room: room.name,
        room_sid: room.sid,
        participant,
        metadata: job.metadata,
        agent_name: job.agent_name,
    })
}

/// The first message.
pub(super) fn register(options: &Options, ping_s: u32) -> Vec<u8> {
    // What an agent does in a room: see `Key::agent`.
    let permissions = ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        can_update_metadata: true,
        ..ParticipantPermission::default()
    };
    write(worker_message::Message::Register(RegisterWorkerRequest {
        r#type: on_the_wire(options.kind) as i32,
        agent_name: options.agent_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ping_interval: ping_s,
        allowed_permissions: Some(permissions),
        ..RegisterWorkerRequest::default()
    }))
}

pub(super) fn ping(now_ms: u64) -> Vec<u8> {
    write(worker_message::Message::Ping(WorkerPing { timestamp: now_ms.cast_signed() }))
}

pub(super) fn order(order: Order) -> Vec<u8> {
    write(match order {
        Order::Answer(job_id, answer) => {
            let mut response = AvailabilityResponse { job_id, ..AvailabilityResponse::default() };
            match answer {
                Answer::Taken(Presence { identity, name }) => {
                    response.available = true;
                    response.participant_identity = identity;
                    response.participant_name = name;
                }
                Answer::Refused => {}
                Answer::Done => response.terminate = true,
            }
            worker_message::Message::Availability(response)
        }
        Order::Update(job_id, state) => {
            let (status, error) = match state {
                JobState::Running => (JobStatus::JsRunning, String::new()),
                JobState::Done => (JobStatus::JsSuccess, String::new()),
                JobState::Failed(why) => (JobStatus::JsFailed, why),
            };
            let error = error.chars().take(ERROR_MAX).collect();
            let update = UpdateJobStatus { job_id, status: status as i32, error };
            worker_message::Message::UpdateJob(update)
        }
        Order::Standing(standing) => {
            let Standing { load, jobs, full, draining } = standing;
            let status = if full { WorkerStatus::WsFull } else { WorkerStatus::WsAvailable };
            worker_message::Message::UpdateWorker(UpdateWorkerStatus {
                status: Some(status as i32),
                load,
                job_count: jobs,
                draining,
                ..UpdateWorkerStatus::default()
            })
        }
    })
}

fn write(message: worker_message::Message) -> Vec<u8> {
    WorkerMessage { message: Some(message) }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol::{AvailabilityRequest, JobTermination, ParticipantInfo, Room};

    fn said(message: server_message::Message) -> Option<News> {
        match read(&ServerMessage { message: Some(message) }.encode_to_vec()).unwrap() {
            Some(Said::News(news)) => Some(*news),
            Some(Said::GoAway) | None => None,
        }
    }

    fn offered(change: impl FnOnce(&mut livekit_protocol::Job)) -> Option<Job> {
        let room = Room { name: "lobby".into(), sid: "RM_1".into(), ..Room::default() };
        let mut job = livekit_protocol::Job {
            id: "AJ_1".into(),
            room: Some(room),
            ..livekit_protocol::Job::default()
        };
        change(&mut job);
        let request = AvailabilityRequest { job: Some(job), resuming: false };
        match said(server_message::Message::Availability(request)) {
            Some(News::Offered(job)) => Some(job),
            _ => None,
        }
    }

    #[test]
    fn a_job_is_an_id_and_a_room_and_perhaps_somebody() {
        let plain = offered(|_| {}).unwrap();
        assert_eq!(
            (plain.id.as_str(), plain.room.as_str(), plain.kind),
            ("AJ_1", "lobby", JobKind::Room)
        );
        let ann = ParticipantInfo { identity: "ann".into(), ..ParticipantInfo::default() };
        let of_ann = offered(|job| {
            job.r#type = JobType::JtPublisher as i32;
            job.participant = Some(ann);
            job.metadata = "x".repeat(METADATA_MAX);
        });
        let of_ann = of_ann.unwrap();
        assert_eq!((of_ann.kind, of_ann.participant.as_deref()), (JobKind::Publisher, Some("ann")));
        for wrong in [
            offered(|job| job.id.clear()),
            offered(|job| job.id = "../AJ_1".into()),
            offered(|job| job.id = "x".repeat(NAME_LEN_MAX + 1)),
            offered(|job| job.room = None),
            offered(|job| job.metadata = "x".repeat(METADATA_MAX + 1)),
        ] {
            assert_eq!(wrong, None);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_what_is_unknown_is_nothing() {
        assert!(read(&[0xff, 0xff]).is_err());
        assert!(read(&[]).unwrap().is_none());
        let gone = JobTermination { job_id: "AJ_1".into() };
        let gone = said(server_message::Message::Termination(gone));
        assert!(matches!(gone, Some(News::Terminated(job)) if job == "AJ_1"));
    }

    #[test]
    fn a_full_worker_says_so() {
        let standing = Standing { load: 0.7, jobs: 3, full: true, draining: true };
        let bytes = order(Order::Standing(standing));
        let message = WorkerMessage::decode(&*bytes).unwrap().message;
        let Some(worker_message::Message::UpdateWorker(update)) = message else {
            panic!("{message:?}")
        };
        assert_eq!(update.status(), WorkerStatus::WsFull);
        assert_eq!((update.job_count, update.draining), (3, true));
    }
}
