//! A headless Chromium, driven over pipes by the Chrome DevTools Protocol: JSON objects that end with a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::common::Json;
use crate::common::disk::TempFolder;
use crate::common::process::LIMIT;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// It can do without a display, and connects to nothing.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// How the page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    width: u32,
    is_dark: bool,
}

impl Look {
    pub(crate) fn all() -> [Self; 4] {
        [(1280, false), (1280, true), (400, false), (400, true)]
            .map(|(width, is_dark)| Self { width, is_dark })
    }

    /// Those who look at it in the dark want no motion, too.
    pub(crate) fn has_motion(self) -> bool {
        !self.is_dark
    }
}

pub(crate) struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<String>,
    number: u64,
    /// Of the tab, once it is known.
    session: Option<String>,
    /// What the page's scripts threw.
    thrown: Vec<String>,
    _profile: TempFolder,
}

/// Text as JSON.
fn json(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

impl Browser {
    /// None if there is no browser here.
    pub(crate) fn launch() -> Option<Self> {
        let is_there = |name: &&&str| {
            Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        };
        let program = PROGRAMS.iter().find(is_there)?;
        let profile = TempFolder::new();
        let mut process = Command::new("bash")
            // Chromium reads from 3 and writes to 4.
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "bash", program])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&message).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            process,
            input,
            messages,
            number: 0,
            session: None,
            thrown: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", r#"{"url":"about:blank"}"#);
        let target = json(target.text("targetId"));
        let session =
            browser.call("Target.attachToTarget", &format!(r#"{{"targetId":{target},"flatten":true}}"#));
        browser.session = Some(session.text("sessionId").to_owned());
        for domain in ["Page.enable", "Runtime.enable"] {
            browser.call(domain, "{}");
        }
        Some(browser)
    }

    #[track_caller]
    fn next(&mut self) -> Json {
        Json::parse(&self.messages.recv_timeout(LIMIT).expect("the browser does not answer"))
    }

    /// Notes what went wrong in the page; whether this is the event that was waited for.
    fn is_event(&mut self, message: &Json, name: &str) -> bool {
        if !message.has("method") {
            return false;
        }
        let method = message.text("method");
        if method == "Runtime.exceptionThrown" {
            self.thrown.push(format!("{message:?}"));
        }
        method == name
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &str) -> Json {
        self.number += 1;
        let session =
            self.session.as_ref().map_or(String::new(), |id| format!(r#","sessionId":{}"#, json(id)));
        let number = self.number;
        let message = format!(r#"{{"id":{number},"method":"{method}","params":{params}{session}}}"#);
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.input.flush().unwrap();
        loop {
            let message = self.next();
            if !self.is_event(&message, "") && message.has("id") && message.number("id") == number as f64 {
                assert!(message.has("result"), "{method} {params}: {message:?}");
                return message.get("result").clone();
            }
        }
    }

    /// Opens a file, and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&mut self, page: &Path) {
        // A request for an answer that may come after the event would miss it.
        self.number += 1;
        let session = json(self.session.as_ref().unwrap());
        let url = json(&format!("file://{}", page.display()));
        let message = format!(
            r#"{{"id":{},"method":"Page.navigate","params":{{"url":{url}}},"sessionId":{session}}}"#,
            self.number
        );
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let message = self.next();
            if self.is_event(&message, "Page.loadEventFired") {
                return;
            }
        }
    }

    pub(crate) fn look(&mut self, look: Look) {
        let Look { width, is_dark } = look;
        let size = format!(r#"{{"width":{width},"height":800,"deviceScaleFactor":1,"mobile":false}}"#);
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if is_dark { "dark" } else { "light" };
        let motion = if look.has_motion() { "no-preference" } else { "reduce" };
        let feature = |name, value| format!(r#"{{"name":"{name}","value":"{value}"}}"#);
        let (scheme, motion) =
            (feature("prefers-color-scheme", scheme), feature("prefers-reduced-motion", motion));
        self.call("Emulation.setEmulatedMedia", &format!(r#"{{"features":[{scheme},{motion}]}}"#));
    }

    /// Runs JavaScript in the page; its value.
    #[track_caller]
    pub(crate) fn eval(&mut self, code: &str) -> Json {
        let params = format!(r#"{{"expression":{},"returnByValue":true,"awaitPromise":true}}"#, json(code));
        let answer = self.call("Runtime.evaluate", &params);
        assert!(!answer.has("exceptionDetails"), "{code}: {answer:?}");
        let result = answer.get("result");
        if result.has("value") { result.get("value").clone() } else { Json::Null }
    }

    #[track_caller]
    pub(crate) fn text(&mut self, code: &str) -> String {
        match self.eval(code) {
            Json::Text(text) => text,
            other => panic!("{code} is not text: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn is(&mut self, code: &str) -> bool {
        match self.eval(code) {
            Json::Bool(is) => is,
            other => panic!("{code} is not true or false: {other:?}"),
        }
    }

    /// Waits until something holds.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, code: &str) {
        let wait = format!(
            "new Promise((done) => {{ const look = () => ({code}) ? done(true) : setTimeout(look, 20); look(); }})"
        );
        assert!(self.is(&wait), "{code}");
    }

    /// Presses a key and releases it.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            " " => ("Space", 32, " "),
            "ArrowRight" => ("ArrowRight", 39, ""),
            other => panic!("{other}: not a key that is known here"),
        };
        let text = if text.is_empty() { String::new() } else { format!(r#","text":{}"#, json(text)) };
        let of = format!(r#""key":{},"code":"{code}","windowsVirtualKeyCode":{number}"#, json(key));
        self.call("Input.dispatchKeyEvent", &format!(r#"{{"type":"keyDown",{of}{text}}}"#));
        self.call("Input.dispatchKeyEvent", &format!(r#"{{"type":"keyUp",{of}}}"#));
    }

    /// Goes on with Tab until this element has the focus. On the way, every focus can be seen, and is on something that
    /// has a name.
    #[track_caller]
    pub(crate) fn tab_to(&mut self, selector: &str) {
        let selector = json(selector);
        for _ in 0..60 {
            self.press("Tab");
            let seen = "(() => { const e = document.activeElement; if (e === document.body) return ''; \
                const name = e.labels?.[0]?.textContent || e.ariaLabel || e.textContent; \
                if (!name.trim()) return 'has no name: ' + e.outerHTML; \
                if (getComputedStyle(e).outlineStyle === 'none') return 'focus is not seen: ' + e.outerHTML; \
                return ''; })()";
            assert_eq!(self.text(seen), "");
            if self.is(&format!("document.activeElement === document.querySelector({selector})")) {
                return;
            }
        }
        panic!("Tab does not lead to {selector}");
    }

    /// Nothing was thrown, nothing is wider than the window, and text can be told from what is behind it.
    #[track_caller]
    pub(crate) fn is_well(&mut self, look: Look) {
        assert!(self.thrown.is_empty(), "{look:?}: {:#?}", self.thrown);
        let wide = "document.documentElement.scrollWidth > innerWidth";
        assert!(!self.is(wide), "{look:?}: the page scrolls sideways");
        let dim = "(() => { \
            const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((n) => { const x = n / 255; \
              return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); \
              return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
            const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; \
              if (!/rgba\\(.*, 0\\)|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; }; \
            const dim = [...document.querySelectorAll('h1, h2, h3, p, dt, dd, a, label, button:enabled, .state, .steps li')] \
              .filter((e) => !e.closest('.down')).filter((e) => { const s = getComputedStyle(e); \
              const [a, b] = [light(s.color), light(ground(e))].sort((x, y) => y - x); \
              return (a + 0.05) / (b + 0.05) < 4.5; }); \
            return dim.map((e) => e.outerHTML.slice(0, 80)).join('; '); })()";
        assert_eq!(self.text(dim), "", "{look:?}: too little contrast");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\",\"params\":{}}\0");
        let has_ended = || self.messages.recv_timeout(LIMIT).is_err();
        while !has_ended() {}
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
