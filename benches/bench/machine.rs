//! The machine, by name: no figure means anything without it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::memory;

/// How long to look whether the machine is busy.
const LOOK_FOR: Duration = Duration::from_millis(500);

/// One line for each thing that a reader of the figures must know.
pub(crate) fn describe(folder: &Path) -> Vec<String> {
    let mut lines = vec![format!("{}, {} cores, {} of memory", cpu(), cores(), memory_size())];
    lines.push(format!("Linux {}, {}", kernel(), file_system(folder)));
    if memory::is_taken_back() {
        lines.push(
            "a virtual machine whose host takes back free memory: memory is touched before each run".into(),
        );
    }
    if let Some(busy) = busy().filter(|busy| *busy > 0.1) {
        let percent = 100.0 * busy;
        lines.push(format!(
            "{percent:.0}% busy before the start: something else is running, and the figures are not reliable"
        ));
    }
    lines
}

fn proc_field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn cpu() -> String {
    proc_field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn memory_size() -> String {
    let kib = proc_field("/proc/meminfo", "MemTotal").and_then(|t| t.split(' ').next()?.parse::<f64>().ok());
    kib.map_or_else(|| "unknown size".into(), |kib| format!("{:.0} GiB", kib / f64::from(1 << 20)))
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |s| s.trim().to_owned())
}

/// Which part of the processors' time is taken at this moment.
fn busy() -> Option<f64> {
    let times = || -> Option<(f64, f64)> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let times: Vec<f64> =
            text.lines().next()?.split_whitespace().skip(1).map_while(|t| t.parse().ok()).collect();
        // The fourth and fifth are idle time, and idle time with the disk at work.
        Some((times.iter().sum(), times.get(3)? + times.get(4)?))
    };
    let (all_before, idle_before) = times()?;
    std::thread::sleep(LOOK_FOR);
    let (all, idle) = times()?;
    (all > all_before).then(|| 1.0 - (idle - idle_before) / (all - all_before))
}

fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .filter(|(_, place, _)| folder.starts_with(place))
        .max_by_key(|(_, place, _)| place.len());
    let Some((device, _, kind)) = mount else { return "unknown file system".into() };
    let device = device.rsplit('/').next().unwrap_or(device);
    let journal = fs::read_dir("/proc/fs/jbd2").is_ok_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with(&format!("{device}-"))))
    });
    let without = if kind == "ext4" && !journal { " without a journal" } else { "" };
    format!("{kind}{without} on {device}")
}
