//! The check of what leads out of this process: addresses, headers, variables, and tools that have them.
//!
//! **Invariant:** a text that passes can be filled by a call that has its arguments, once the environment has
//! the variables that it names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::check::{Report, properties};
use super::complaint::excerpt;
use super::schema::is_identifier;
use super::{Config, Run, Tool};
use crate::tool::fill::{self, Fill};

/// The arguments that a text may name: none, whatever they are, or those listed.
pub(super) type Arguments<'a> = Option<Option<&'a Map<String, Value>>>;

/// A tool is carried out in one way, and what is outside is nothing that a tick could wait for.
pub(super) fn tool(name: &str, tool: &Tool, config: &Config, report: &mut Report<'_>) {
    let at = |key| ["tools", name, key];
    let ways = [
        ("canned", tool.canned.is_some()),
        ("rpc", tool.rpc.is_some()),
        ("data", tool.data.is_some()),
        ("http", tool.http.is_some()),
        ("process", tool.process.is_some()),
        ("mcp", tool.mcp.is_some()),
    ];
    let ways: Vec<&str> = ways.into_iter().filter(|(_, is_there)| *is_there).map(|w| w.0).collect();
    if let [first, .., last] = ways.as_slice() {
        let what = format!("a tool with `{first}` and `{last}`: it is carried out in one way");
        report.tell(&at(last), what, format!("remove all but one of {}", ways.join(", ")));
    }
    let is_inline = tool.run == Run::Inline;
    let remedy = "write `run: worker`, or leave it out";
    if tool.room().is_some() && is_inline {
        let what = "an inline tool cannot wait for a room: it would hold up the tick";
        report.tell(&at("run"), what, remedy);
    }
    let outside = [
        ("a server", tool.http.is_some() || tool.mcp.is_some()),
        ("a process", tool.process.is_some()),
    ];
    for (who, _) in outside.into_iter().filter(|(_, is_there)| is_inline && *is_there) {
        let what = format!("an inline tool cannot wait for {who}: it would hold up the tick");
        report.tell(&at("run"), what, remedy);
    }
    if let Some(http) = &tool.http {
        let at = |key| ["tools", name, "http", key];
        let known: Arguments<'_> = Some(properties(&tool.parameters));
        address(&at("url"), &http.url, known, report);
        headers(&at("headers"), &http.headers, known, report);
        for (key, text) in &http.query {
            gaps(&["tools", name, "http", "query", key], text, known, report);
        }
        if let Some(body) = &http.body {
            if http.method.has_body() {
                let mut found = Vec::new();
                fill::texts(body, &mut |text| found.push(text));
                for text in found {
                    gaps(&at("body"), text, known, report);
                }
            } else {
                let what = "a request of this method has no body";
                report.tell(&at("body"), what, "write `query`, or `method: POST`");
            }
        }
    }
    if let Some(process) = &tool.process {
        variables(&["tools", name, "process", "env"], &process.env, report);
    }
    if let Some(mcp) = &tool.mcp
        && !config.mcp_servers.contains_key(&mcp.server)
    {
        let place = ["tools", name, "mcp", "server"];
        let servers = config.mcp_servers.keys();
        report.unknown(&place, "MCP server", &mcp.server, servers, &["mcp_servers"]);
    }
}

/// An address, in which arguments stand after the server's name only: a call must not choose who is asked.
pub(super) fn address(place: &[&str], url: &str, known: Arguments<'_>, report: &mut Report<'_>) {
    let Some(fill) = gaps(place, url, known, report) else { return };
    // What the environment holds is seen when a session begins.
    let before = fill.before_arguments(&|_| Some("\0".to_owned()));
    let written = before.starts_with("https://") || before.starts_with("http://");
    if !written && !before.starts_with('\0') {
        let what = format!("`{}` is not the address of a server", excerpt(url));
        report.tell(place, what, "write it with `https://` or `http://`");
        return;
    }
    let server = before.split_once("://").map_or(before.as_str(), |(_, server)| server);
    if fill.arguments().next().is_some() && !server.contains(['/', '?', '#']) {
        let what = "an argument stands in the server's name: a call could choose who is asked";
        report.tell(place, what, "write arguments after the server's name and a `/`");
    }
}

/// Headers: their names are names, and their texts can be filled.
pub(super) fn headers(
    place: &[&str],
    headers: &BTreeMap<String, String>,
    known: Arguments<'_>,
    report: &mut Report<'_>,
) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    for (name, text) in headers {
        let place = [place, &[name.as_str()]].concat();
        if name.is_empty() || !name.bytes().all(is_token) {
            let what = format!("`{}` is no name of a header", excerpt(name));
            report.tell(&place, what, "use letters, digits and `-`, as in `X-Api-Key`");
        }
        gaps(&place, text, known, report);
    }
}

/// Variables of an environment.
pub(super) fn variables(place: &[&str], env: &BTreeMap<String, String>, report: &mut Report<'_>) {
    for (name, text) in env {
        let place = [place, &[name.as_str()]].concat();
        if !is_identifier(name) {
            let what = format!("`{}` is no name of a variable", excerpt(name));
            report.tell(&place, what, "use letters, digits and `_`, a digit not first");
        }
        gaps(&place, text, None, report);
    }
}

/// A text whose gaps can be filled.
fn gaps(place: &[&str], text: &str, known: Arguments<'_>, report: &mut Report<'_>) -> Option<Fill> {
    let fill = match Fill::parse(text) {
        Ok(fill) => fill,
        Err(what) => {
            report.tell(place, what, "arguments are written `{name}`, variables `${NAME}`");
            return None;
        }
    };
    for path in fill.arguments() {
        let first = path.split('.').next().unwrap_or_default();
        match known {
            None => {
                let what = format!("`{{{path}}}`: no call's arguments are known here");
                report.tell(place, what, "variables of the environment are written `${NAME}`");
            }
            Some(Some(known)) if !known.contains_key(first) => {
                let home = [&place[..2], &["parameters", "properties"]].concat();
                report.unknown(place, "argument", first, known.keys(), &home);
            }
            Some(_) => {}
        }
    }
    Some(fill)
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    /// What stands at a tool that takes `number`, and what is said about it.
    #[rustfmt::skip] // a row is a line
    const TOOLS: &[(&str, &str)] = &[
        ("    http: { url: 'https://a.example/{nr}' }", "tools.find.http.url: unknown argument `nr`; the arguments here are `number`"),
        ("    http: { url: 'https://{number}.example/' }", "tools.find.http.url: an argument stands in the server's name: a call could choose who is asked; write arguments after the server's name and a `/`"),
        ("    http: { url: shop.example }", "tools.find.http.url: `shop.example` is not the address of a server; write it with `https://` or `http://`"),
        ("    http: { method: GET, url: '${SHOP}/x', body: {} }", "tools.find.http.body: a request of this method has no body; write `query`, or `method: POST`"),
        ("    http: { url: '${SHOP}/x', headers: { 'X Key': a } }", "tools.find.http.headers[\"X Key\"]: `X Key` is no name of a header; use letters, digits and `-`, as in `X-Api-Key`"),
        ("    http: { url: '${SHOP}/x', headers: { A: '${B' } }", "tools.find.http.headers.A: a `{` that is not closed; write `{{` for the sign itself; arguments are written `{name}`, variables `${NAME}`"),
        ("    process: { command: [a], env: { 1A: b } }", "tools.find.process.env.1A: `1A` is no name of a variable; use letters, digits and `_`, a digit not first"),
        ("    process: { command: [a], env: { A: '{number}' } }", "tools.find.process.env.A: `{number}`: no call's arguments are known here; variables of the environment are written `${NAME}`"),
        ("    run: inline\n    process: { command: [a] }", "tools.find.run: an inline tool cannot wait for a process: it would hold up the tick; write `run: worker`, or leave it out"),
        ("    mcp: { server: desk, tool: a }", "tools.find.mcp.server: unknown MCP server `desk`; there are none; add it under `mcp_servers`"),
        ("    canned: {}\n    http: { url: 'https://a.example/' }", "tools.find.http: a tool with `canned` and `http`: it is carried out in one way; remove all but one of canned, http"),
    ];

    /// What stands at the top, and what is said about it.
    #[rustfmt::skip] // a row is a line
    const SERVERS: &[(&str, &str)] = &[
        ("mcp_servers: { find: { command: a } }", "mcp_servers.find: `find` is a tool, too: agents could not tell which is meant; give the server another name"),
        ("mcp_servers: { s: {} }", "mcp_servers.s: nothing says how `s` is reached; add a `command` that starts it, or its `url`"),
        ("mcp_servers: { s: { command: a, url: 'http://a/' } }", "mcp_servers.s.url: `s` has a `command` and a `url`: it is reached in one way; remove one of the two"),
        ("mcp_servers: { s: { url: 'http://a/', args: [b] } }", "mcp_servers.s.args: `args` is for a server that is started by `command`; remove it"),
        ("mcp_servers: { s: { command: a, headers: { A: b } } }", "mcp_servers.s.headers: a process has no `headers`; write `env`, or remove them"),
        ("mcp_servers: { s: { command: a, tools: [] } }", "mcp_servers.s.tools: no tool of `s` is wanted; name some, or remove the list for all of them"),
    ];

    fn complaint(tool: &str, top: &str) -> String {
        let parameters = "{ type: object, properties: { number: { type: string } } }";
        let text = format!(
            "name: a\nagents: {{ a: {{}} }}\ntools:\n  find:\n    parameters: {parameters}\n{tool}\n{top}\n"
        );
        parse(text.as_bytes(), "f").err().map_or_else(String::new, |all| all.to_string())
    }

    #[test]
    fn what_leads_out_is_checked_as_far_as_a_file_can_tell() {
        let tools = TOOLS.iter().map(|(tool, wanted)| (complaint(tool, ""), wanted));
        let servers =
            SERVERS.iter().map(|(top, wanted)| (complaint("    run: inline", top), wanted));
        let told = tools.chain(servers).map(|(said, wanted)| {
            // Without the file, the line and the column.
            let said = said.splitn(4, ':').nth(3).unwrap_or_default().trim_start().to_owned();
            (said, (*wanted).to_owned())
        });
        let wrong: Vec<(String, String)> = told.filter(|(said, wanted)| said != wanted).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_way_out_is_right_when_it_is_written_right() {
        let right = [
            "    http: { url: 'https://a.example/{number}?x={number}', headers: { A: 'b ${C}' }, query: { n: '{number}' } }",
            "    http: { method: PUT, url: '${A}', body: { n: ['{number}', 1] }, result: a.0, retries: 0 }",
            "    process: { command: [a, b], env: { A: '${A}b' }, cwd: c }",
            "    mcp: { server: s, tool: any }",
        ];
        let servers = "mcp_servers: { s: { command: a, args: [b] }, t: { url: 'http://a:1/mcp', headers: { A: '${B}' } } }";
        for tool in right {
            assert_eq!(complaint(tool, servers), "", "{tool}");
        }
    }
}
