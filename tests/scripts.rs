//! The scripts, on machines that are not like this one: what they do without, they say.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder of programs, which is all that a script finds.
struct Machine(TempDir);

impl Machine {
    /// With what every system has, and nothing else.
    fn bare() -> Self {
        let machine = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        for name in ["bash", "env", "grep", "id", "tr", "uname", "true"] {
            let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
            let found = found.into_iter().find(|path| path.exists());
            let found = found.unwrap_or_else(|| panic!("{name} is in /bin or /usr/bin"));
            symlink(found, machine.0.path().join(name)).expect("the folder is empty");
        }
        machine
    }

    /// And with one that does this.
    fn with(self, name: &str, script: &str) -> Self {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        self
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path.display().to_string()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(self.0.path().join("bash"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script));
        command.env_clear().env("PATH", self.0.path());
        command
    }
}

/// The exit code, and what was printed and complained.
fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("bash starts");
    let text = |bytes| String::from_utf8(bytes).expect("scripts print UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn tests_run_without_the_real_time_class_and_it_is_said_what_is_not_shown() {
    let refused = Machine::bare().with("chrt", "exit 1");
    let (code, env, told) = ran(refused.command("realtime.sh").arg("env"));
    assert_eq!(code, Some(0), "{told}");
    assert!(env.contains("ANTIPHON_NO_REALTIME=1\n"), "{env}");
    for part in ["tests/watchdog.rs", "ulimit -r 11", "CAP_SYS_NICE", "rtprio 11"] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

#[test]
fn a_machine_that_permits_the_class_shows_all() {
    let permitted = Machine::bare().with("chrt", r#"[ "$1 $2" = "-f 11" ] && exec "$3""#);
    let (code, env, told) = ran(permitted.command("realtime.sh").arg("env"));
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(!env.contains("ANTIPHON_NO_REALTIME"), "{env}");
}

#[test]
fn who_insists_on_the_class_is_not_excused() {
    let refused = Machine::bare().with("chrt", "exit 1");
    let mut insists = refused.command("realtime.sh");
    let (_, env, told) = ran(insists.arg("env").env("ANTIPHON_NO_REALTIME", "0"));
    assert!(env.contains("ANTIPHON_NO_REALTIME=0\n") && told.is_empty(), "{env}{told}");
}

#[test]
fn on_ubuntu_a_browser_is_asked_for_and_not_installed() {
    let machine = Machine::bare()
        .with("cargo", "")
        .with("pocketsphinx_batch", "")
        .with("apt-get", "echo apt-get was called; exit 1");
    let ubuntu = machine.file("os-release", "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n");
    let mut setup = machine.command("setup.sh");
    // Whatever this machine has in sbin, a browser is not there.
    let (code, _, told) = ran(setup.arg("test").env("ANTIPHON_OS_RELEASE", &ubuntu));
    assert_eq!(code, Some(2), "{told}");
    for part in ["tests/report.rs", "ANTIPHON_CHROMIUM", "Google Chrome"] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
    assert!(!told.contains("installing") && !told.contains("was called"), "{told}");

    let mut named = machine.command("setup.sh");
    named.arg("test").env("ANTIPHON_OS_RELEASE", &ubuntu).env("ANTIPHON_CHROMIUM", "/opt/chrome");
    assert_eq!(ran(&mut named), (Some(0), String::new(), String::new()));
}

/// The script in a tree of its own, whose ignored folder of tools is empty.
fn setup_of_rooms(machine: &Machine) -> Command {
    let tree = machine.0.path().join("tree");
    fs::create_dir_all(tree.join("scripts")).expect("the folder is ours");
    fs::create_dir_all(tree.join("tests/peers")).expect("the folder is ours");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["scripts/setup.sh", "tests/peers/requirements.txt"] {
        fs::copy(root.join(file), tree.join(file)).expect("the file is there");
    }
    let mut command = Command::new(machine.0.path().join("bash"));
    command.arg(tree.join("scripts/setup.sh")).arg("rooms");
    command.env_clear().env("PATH", machine.0.path());
    command
}

/// With what the script needs for rooms of any system, and a Python that makes an environment at once.
fn machine_with_python() -> Machine {
    let makes = r#"case $2 in venv) mkdir -p "$3/bin"; printf '#!/bin/sh\n' >"$3/bin/python"; chmod +x "$3/bin/python" ;; esac"#;
    let machine = Machine::bare().with("cargo", "").with("python3", makes);
    for name in ["chmod", "cmp", "cp", "mkdir", "mv", "rm"] {
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.into_iter().find(|path| path.exists()).expect("every system has it");
        symlink(found, machine.0.path().join(name)).expect("the folder is empty");
    }
    machine
}

#[test]
fn without_a_livekit_server_and_without_go_it_is_said_how_to_get_one() {
    let machine = machine_with_python();
    let (code, _, told) = ran(&mut setup_of_rooms(&machine));
    assert_eq!(code, Some(2), "{told}");
    for part in ["go install github.com/livekit/livekit-server/cmd/server@v", "LIVEKIT_SERVER"] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }

    let mut named = setup_of_rooms(&machine);
    let (code, _, told) = ran(named.env("LIVEKIT_SERVER", "nowhere"));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("\"nowhere\""), "{told}");

    let machine = machine.with("livekit-server", "");
    assert_eq!(ran(&mut setup_of_rooms(&machine)), (Some(0), String::new(), String::new()));
}

#[test]
fn a_livekit_server_is_built_once_where_go_is() {
    let machine = machine_with_python().with("go", r#"echo "go $*" >&2; : >"$GOBIN/server""#);
    let (code, _, told) = ran(&mut setup_of_rooms(&machine));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("go install github.com/livekit/"), "{told}");
    let server = machine.0.path().join("tree/.tools/bin/livekit-server");
    fs::set_permissions(server, fs::Permissions::from_mode(0o755)).expect("it is ours");
    assert_eq!(ran(&mut setup_of_rooms(&machine)), (Some(0), String::new(), String::new()));

    // Other requirements are installed anew.
    let requirements = machine.0.path().join("tree/tests/peers/requirements.txt");
    let made_from = machine.0.path().join("tree/.tools/python/made-from.txt");
    assert_eq!(fs::read(&made_from).ok(), fs::read(&requirements).ok());
    fs::write(&made_from, "others").expect("it is ours");
    let (code, _, told) = ran(&mut setup_of_rooms(&machine));
    assert!(code == Some(0) && told.contains(".tools/python"), "{told}");
}

#[test]
fn without_python_the_package_is_named() {
    let machine = Machine::bare().with("cargo", "").with("cmp", "exit 1");
    let (code, _, told) = ran(&mut setup_of_rooms(&machine));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("python"), "{told}");
}
