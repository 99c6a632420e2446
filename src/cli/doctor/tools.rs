//! Whether the programs are there that a configuration has started: tools that are processes, and MCP servers.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::finding::Finding;
use crate::session::plan::Plan;

/// A program that is started, and where.
struct Started<'a> {
    place: String,
    program: &'a str,
    cwd: Option<&'a str>,
}

pub(super) fn tools(plan: &Plan) -> Finding {
    let config = &plan.config;
    let servers = config.mcp_servers.iter().filter_map(|(name, server)| {
        let program = server.command.as_deref()?;
        Some(Started { place: format!("mcp_servers.{name}"), program, cwd: server.cwd.as_deref() })
    });
    let processes = config.tools.iter().filter_map(|(name, tool)| {
        let process = tool.process.as_ref()?;
        let program = process.command.first()?;
        Some(Started { place: format!("tools.{name}"), program, cwd: process.cwd.as_deref() })
    });
    let started: Vec<_> = servers.chain(processes).collect();
    let others = config.mcp_servers.values().filter(|server| server.url.is_some()).count()
        + config.tools.values().filter(|tool| tool.http.is_some()).count();
    let is_remote =
        !config.mcp_servers.is_empty() || config.tools.values().any(crate::config::Tool::is_remote);
    if is_remote && !cfg!(feature = "remote") {
        return Finding::failed(
            "the configuration has tools that are carried out elsewhere, which this program was built without",
            "build it with the feature `remote`",
        );
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for Started { place, program, cwd } in &started {
        if let Some(cwd) = cwd.filter(|cwd| !Path::new(cwd).is_dir()) {
            wrong.push(format!("{place}: there is no folder {cwd}"));
        }
        match at(program, *cwd, &folders) {
            Some(path) => found.push(format!("{program} ({})", path.display())),
            None => wrong.push(format!("{place}: there is no program `{program}`")),
        }
    }
    found.sort();
    found.dedup();
    let others = match others {
        0 => String::new(),
        count => format!("{count} reached over HTTP, which are not asked"),
    };
    let finding = if wrong.is_empty() {
        let all: Vec<_> =
            found.into_iter().chain(Some(others)).filter(|it| !it.is_empty()).collect();
        Finding::ok(if all.is_empty() {
            "this configuration starts none".to_owned()
        } else {
            all.join(", ")
        })
    } else {
        Finding::failed(
            wrong.join("\n"),
            "install what is missing, put its folder into PATH, or mend `command` and `cwd`",
        )
    };
    finding.with(json!({ "programs": started.len(), "missing": wrong.len() }))
}

/// Where a program is that is called by this name: in a folder of PATH, or where the name says.
fn at(program: &str, cwd: Option<&str>, folders: &[PathBuf]) -> Option<PathBuf> {
    if program.contains(std::path::MAIN_SEPARATOR) {
        // Which folder a relative name is seen from differs from system to system.
        let here = PathBuf::from(program);
        let there = Path::new(cwd.unwrap_or(".")).join(program);
        return [here, there].into_iter().find(|path| is_program(path));
    }
    let names = folders.iter().map(|folder| folder.join(program));
    let suffix = std::env::consts::EXE_SUFFIX;
    let suffixed = folders.iter().map(|folder| folder.join(format!("{program}{suffix}")));
    names.chain(suffixed).find(|path| is_program(path))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
