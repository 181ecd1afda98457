//! Memory: that of the machine made ready before a run, and that which a process takes.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::Fallible;

/// How often a running process is asked. What it shows is the peak so far, so only what grows in the last
/// moment can be missed.
const ASK_EVERY: Duration = Duration::from_millis(2);

/// Whether the host of this virtual machine can take back memory that is free (virtio-balloon).
pub(crate) fn is_taken_back() -> bool {
    let devices = fs::read_dir("/sys/bus/virtio/drivers/virtio_balloon");
    devices.is_ok_and(|mut d| {
        d.any(|e| e.is_ok_and(|e| e.file_name().as_encoded_bytes().starts_with(b"virtio")))
    })
}

/// Touches this much memory and frees it at once, in case the host takes back what is free. The first
/// touch of such a page costs ten times a later one, and which run pays would be a matter of chance.
pub(crate) fn warm(bytes: u64) {
    if !is_taken_back() {
        return;
    }
    let available = field(Path::new("/proc/meminfo"), "MemAvailable:").unwrap_or(0);
    let each = usize::try_from(bytes.min(available / 2) / 2).unwrap_or(0);
    // Both halves are held until both are touched: otherwise the second would get the pages of the first.
    let held = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let touched = vec![1_u8; each];
                if let Ok(mut held) = held.lock() {
                    held.push(touched);
                }
            });
        }
    });
    std::hint::black_box(&held);
}

/// What /proc says about a process, in bytes: `VmHWM:` for its peak, `VmRSS:` for now.
pub(crate) fn of_process(pid: u32, what: &str) -> Fallible<u64> {
    let status = format!("/proc/{pid}/status");
    field(Path::new(&status), what).ok_or_else(|| format!("{status} has no {what}").into())
}

/// Watches the peak of a process until it ends.
pub(crate) fn watch(pid: u32) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let mut peak = 0;
        while let Ok(now) = of_process(pid, "VmHWM:") {
            peak = peak.max(now);
            thread::sleep(ASK_EVERY);
        }
        peak
    })
}

fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
