//! A real browser without a window, driven over its debugging pipe.
//!
//! It is told what to do in messages of JSON, and tells back what happened: errors of the console, what it
//! fetched, what a script has found. Nothing here waits for a time to pass, only for an answer, and that
//! for a minute at most.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use antiphon::host::pace::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer is waited for: a busy machine starts a browser in a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a page must not do without being asked.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync \
                     --hide-scrollbars --remote-debugging-pipe";

/// The browsers that will do, by name or path.
const BROWSERS: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    asked: u64,
    /// What it has told unasked since the last page was opened.
    pub(crate) told: Vec<Value>,
    /// Its files; it has to be gone before they are.
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// On a telephone, with fingers.
    pub(crate) phone: bool,
    pub(crate) dark: bool,
}

pub(crate) const DESKTOP: Look = Look { width: 1280, height: 800, phone: false, dark: false };
pub(crate) const PHONE: Look = Look { width: 390, height: 844, phone: true, dark: false };

impl Browser {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one, told more by flags of its command line.
    pub(crate) fn start_with(flags: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let program = program();
        // The pipe is at the descriptors 3 and 4; nothing is shown.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", &program])
            .args(FLAGS.split_whitespace())
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let to = process.stdin.take().expect("it is piped");
        let pipe = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, from) = sync_channel(1_024);
        std::thread::spawn(move || {
            for message in pipe.split(0) {
                let json = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                if json.is_none_or(|json: Value| sender.send(json).is_err()) {
                    break;
                }
            }
        });
        let told = Vec::new();
        let session = String::new();
        let mut browser = Self { process, to, from, session, asked: 0, told, _profile: profile };
        let targets = browser.ask("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().expect("a list").clone();
        let page = targets.into_iter().find(|target| target["type"] == "page").expect("a page");
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().expect("a text").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens a file, and waits until all of it is there and its script has run.
    pub(crate) fn open(&mut self, file: &Path, look: Look) {
        self.visit(&format!("file://{}", file.display()), look);
    }

    /// Opens an address, and waits as [`open`](Self::open) does.
    pub(crate) fn visit(&mut self, url: &str, look: Look) {
        let Look { width, height, phone, dark } = look;
        let device =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.ask("Emulation.setDeviceMetricsOverride", device);
        self.ask("Emulation.setTouchEmulationEnabled", json!({ "enabled": phone }));
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
        self.told.clear();
        self.ask("Page.navigate", json!({ "url": url }));
        while !self.told.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next();
            self.told.push(event);
        }
    }

    /// The value of an expression; a promise is waited for.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.ask("Runtime.evaluate", wanted);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// The value of an expression as soon as it is one that counts as true, looked at many times a second. If it
    /// does not come, what is on the page is told.
    pub(crate) fn until(&mut self, expression: &str) -> Value {
        self.value(&format!(
            "new Promise((found, failed) => {{ const begun = performance.now(); \
             const look = () => {{ try {{ const value = ({expression}); if (value) return found(value); }} \
             catch (error) {{ return failed(error); }} \
             if (performance.now() - begun < {}) setTimeout(look, 20); \
             else failed(new Error('waited in vain; the page says: ' + document.body.innerText)); }}; look(); }})",
            PATIENCE.as_millis()
        ))
    }

    /// The text of an element, as it is seen.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let found = self.value(&format!("document.querySelector({}).innerText", json!(selector)));
        found.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks into the middle of an element, with a real press of the button.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ behavior: 'instant', \
             block: 'center' }}); const b = e.getBoundingClientRect(); \
             return [b.left + b.width / 2, b.top + b.height / 2]; }})()",
            json!(selector)
        ));
        self.press(&place[0], &place[1]);
    }

    /// Presses and lets go the button of the mouse at a place.
    pub(crate) fn press(&mut self, x: &Value, y: &Value) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, key: &str, code: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": code });
            self.ask("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes into the field that has the focus.
    pub(crate) fn write(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// What is in sight, as a PNG in a file.
    pub(crate) fn picture(&mut self, file: &Path) {
        let picture = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let coded = picture["data"].as_str().expect("a text");
        let bytes = STANDARD.decode(coded).expect("it is base 64");
        std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Warnings, errors and exceptions since the page was opened.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        const TOLD: [&str; 3] =
            ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let is_complaint = |event: &&Value| TOLD.iter().any(|told| event["method"] == *told);
        self.told.iter().filter(is_complaint).collect()
    }

    /// The addresses that were asked for since the page was opened.
    pub(crate) fn requests(&self) -> Vec<&str> {
        let sent = self.told.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let bytes = [message.to_string().as_bytes(), &[0]].concat();
        self.to.write_all(&bytes).expect("the browser is there");
        let (clock, patience_ns) = (Clock::default(), 2 * PATIENCE.as_nanos());
        let begun = clock.now();
        loop {
            // A page that talks on and on answers nothing by that.
            assert!(u128::from(clock.now().since_ns(begun)) < patience_ns, "{method}: no answer");
            let mut answer = self.next();
            if answer["id"] == self.asked {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].take();
            }
            self.told.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let over = self.process.try_wait();
            panic!("the browser does not answer: {error}; it is over: {over:?}")
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes its files if it is asked to, and its end of the pipe when it is done.
        let close = json!({ "id": 0, "method": "Browser.close" });
        let asked = self.to.write_all(&[close.to_string().as_bytes(), &[0]].concat());
        while asked.is_ok() && self.from.recv_timeout(PATIENCE).is_ok() {}
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The browser of this machine.
fn program() -> String {
    if let Ok(named) = std::env::var("ANTIPHON_CHROMIUM") {
        return named;
    }
    let runs = |program: &&&str| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let found = BROWSERS.iter().find(runs);
    found
        .unwrap_or_else(|| {
            panic!(
                "no browser to look at pages with; install the Debian package chromium \
             (scripts/setup.sh test), or name one in ANTIPHON_CHROMIUM"
            )
        })
        .to_string()
}
