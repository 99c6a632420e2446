//! A sound server that is there and does not let this process in: one of another user's.
//!
//! It looks as if there was none, and the remedy is another one.

use std::path::{Path, PathBuf};

/// Where servers of all users have their folders.
const RUNTIME: &str = "/run/user";

/// What to do about a sound server that belongs to somebody else; nothing if there is none.
pub(super) fn elsewhere() -> Option<String> {
    let named = std::env::var_os("PULSE_SERVER").map(|server| {
        let server = server.to_string_lossy();
        PathBuf::from(server.strip_prefix("unix:").unwrap_or(&server))
    });
    let of = |variable, path| Some(PathBuf::from(std::env::var_os(variable)?).join(path));
    let runtime = of("XDG_RUNTIME_DIR", "pulse/native");
    let own = [named, of("PULSE_RUNTIME_PATH", "native"), runtime];
    let own: Vec<PathBuf> = own.into_iter().flatten().collect();
    let others = std::fs::read_dir(RUNTIME).into_iter().flatten().flatten();
    let others = others.map(|entry| entry.path().join("pulse/native"));
    let (path, why) = own.iter().cloned().chain(others).find_map(|path| {
        let why = closed(&path)?;
        Some((path, why))
    })?;
    Some(format!(
        "there is a sound server at {}, which does not let this user in ({why}): run as the user whose session it \
         belongs to, without sudo; or let others in there (`pactl load-module module-native-protocol-unix auth-anonymous=1 \
         socket=/tmp/sound`), and set PULSE_SERVER=unix:/tmp/sound",
        path.display()
    ))
}

/// Why a socket that is there is not open to this process; nothing if it is open, or not there.
#[cfg(unix)]
fn closed(path: &Path) -> Option<String> {
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::UnixStream;

    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(error.to_string()),
        // Root gets in and is no one's: the server wants its own user.
        Ok(_) => {
            let owner = path.metadata().ok()?.uid();
            let own = std::fs::metadata("/proc/self").ok()?.uid();
            (owner != own).then(|| format!("it is of user {owner}, this process of user {own}"))
        }
        Err(_) => None,
    }
}

#[cfg(not(unix))]
const fn closed(_path: &Path) -> Option<String> {
    None
}
