//! Tools that are processes, started for each call.
//!
//! **Invariant:** when a call is over, so is its process with all that it has started.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::answer::{self, RESULT_MAX, excerpt};
use super::environment::Secrets;
use super::net::{Net, NoOutcome};
use crate::config::ProcessTool;
use crate::tool::{Tool, ToolContext, ToolSpec};

/// The variable with the key by which a process knows a call again.
pub const IDEMPOTENCY_VARIABLE: &str = "ANTIPHON_IDEMPOTENCY_KEY";

/// What is kept of the standard error, in bytes of its end: reasons stand there last.
const KEPT_MAX: usize = 4_096;

/// A tool that is a process.
#[derive(Debug)]
pub(super) struct ProcessCaller {
    spec: ToolSpec,
    tool: ProcessTool,
    secrets: Arc<Secrets>,
    net: Arc<Net>,
}

impl ProcessCaller {
    pub(super) const fn new(
        spec: ToolSpec,
        tool: ProcessTool,
        secrets: Arc<Secrets>,
        net: Arc<Net>,
    ) -> Self {
        Self { spec, tool, secrets, net }
    }
}

impl Tool for ProcessCaller {
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String> {
        let Some((program, rest)) = self.tool.command.split_first() else {
            return Err("`command` names no program".to_owned());
        };
        let mut command = command(program, rest, self.tool.cwd.as_deref());
        command.envs(self.secrets.process(&self.tool.env));
        command.env(IDEMPOTENCY_VARIABLE, context.idempotency_key());
        let line = format!("{arguments}\n");
        let limit = Duration::from_millis(u64::from(self.spec.timeout_ms));
        let shown = program.clone();
        match self.net.wait(limit, async move { run(command, &shown, line).await }) {
            Ok(outcome) => outcome.map_err(|why| self.secrets.scrub(&why)),
            Err(NoOutcome::Late) => Err(format!(
                "`{program}` was not done within {} ms, and was ended",
                self.spec.timeout_ms
            )),
            Err(NoOutcome::Gone) => Err("the call was broken off".to_owned()),
        }
    }
}

/// A command in a group of its own, with nothing of this process's environment.
pub(super) fn command(program: &str, args: &[String], cwd: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = cwd {
        command.current_dir(cwd);
    }
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// A process and all that it has started, which are ended when this is dropped.
#[derive(Debug)]
pub(super) struct Group {
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no groups of processes"))]
    leader: Option<u32>,
}

impl Group {
    /// The group that a process leads.
    pub(super) const fn of(leader: Option<u32>) -> Self {
        Self { leader }
    }

    /// Ends all of them at once. Where there are no groups, the process itself is ended by its owner.
    pub(super) fn end(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.and_then(|leader| i32::try_from(leader).ok()) {
            #[expect(unsafe_code, reason = "the standard library ends no groups of processes")]
            // SAFETY: a number is all that it is given. The group is one that this process has made; its number
            // is not given to another as long as anybody is in it.
            unsafe {
                libc::kill(-leader, libc::SIGKILL);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a program cannot be started, and what to do.
pub(super) fn unstarted(program: &str, error: &std::io::Error) -> String {
    let remedy = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such program; install it, or check `command` and `cwd`"
        }
        std::io::ErrorKind::PermissionDenied => "it may not be run; check its permissions",
        _ => return format!("`{program}` cannot be started: {error}"),
    };
    format!("`{program}` cannot be started: {remedy}")
}

async fn run(mut command: Command, program: &str, line: String) -> Result<Value, String> {
    let mut child = command.spawn().map_err(|error| unstarted(program, &error))?;
    let group = Group::of(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // One that does not want its arguments need not read them.
            drop(stdin.write_all(line.as_bytes()).await);
        }
    };
    let wait = async {
        let status = child.wait().await;
        // What it has left behind holds its output open.
        group.end();
        status
    };
    let said = Mutex::default();
    let (status, output, (), ()) =
        tokio::join!(wait, all(stdout, &group), tail(stderr, &said), write);
    let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
    let said = excerpt(&String::from_utf8_lossy(&said), true);
    let output =
        output.map_err(|()| format!("the result of `{program}` is {}", answer::too_long()))?;
    let status = status.map_err(|error| format!("`{program}` is lost: {error}"))?;
    if !status.success() {
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Err(format!("`{program}` {}{said}", ended(status)));
    }
    let wrong = |why: String| format!("the result of `{program}` is {why}");
    let text = String::from_utf8(output).map_err(|_| wrong("not UTF-8".to_owned()))?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    answer::json(&text).map_err(wrong)
}

fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was ended by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => "failed".to_owned(),
    }
}

/// All that is written, or nothing if it is too much; then the process is ended.
async fn all(source: Option<impl AsyncRead + Unpin>, group: &Group) -> Result<Vec<u8>, ()> {
    let mut bytes = Vec::new();
    let Some(source) = source else { return Ok(bytes) };
    let mut source = source.take(RESULT_MAX as u64 + 1);
    // What cannot be read any more has ended.
    drop(source.read_to_end(&mut bytes).await);
    if bytes.len() > RESULT_MAX {
        group.end();
        return Err(());
    }
    Ok(bytes)
}

/// Keeps the end of what is written.
pub(super) async fn tail(source: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    let Some(mut source) = source else { return };
    let mut chunk = [0; 1_024];
    while let Ok(count @ 1..) = source.read(&mut chunk).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..count]);
        let excess = kept.len().saturating_sub(KEPT_MAX);
        drop(kept.drain(..excess));
    }
}
