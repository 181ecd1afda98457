//! The machine, by name: no figure means anything without it.

use std::fs;
use std::path::Path;

use crate::memory;

/// One line for each thing that a reader of the figures must know.
pub(crate) fn describe(folder: &Path) -> Vec<String> {
    let mut lines = vec![format!("{}, {} cores, {} of memory", cpu(), cores(), memory_size())];
    lines.push(format!("Linux {}, {}", kernel(), file_system(folder)));
    if memory::is_taken_back() {
        lines.push(
            "a virtual machine whose host takes back free memory: memory is touched before each run".into(),
        );
    }
    if let Some(load) = load().filter(|load| *load > 0.5) {
        lines.push(format!("load {load} at the start: something else is running, and the figures suffer"));
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

/// The load of the last minute. That of the build is in it too.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
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
