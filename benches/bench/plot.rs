//! A plot on two logarithmic axes, as SVG, in the style of docs/images/shareit.svg.

use std::fmt::Write as _;

use crate::{Fallible, inputs};

/// One side of the picture.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
}

/// One line: bytes, and MiB for each second.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(u64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 74.0;
const TOP: f64 = 86.0;
const PANEL_WIDTH: f64 = 286.0;
const PANEL_HEIGHT: f64 = 310.0;
/// From the left of one panel to that of the next: between them are the names of the lines.
const PANEL_STEP: f64 = 394.0;
/// Least distance between two names.
const NAME_STEP: f64 = 16.0;

const PAPER: &str = "#f6f8fa";
const SHEET: &str = "#ffffff";
const TEXT: &str = "#1f2328";
const MUTED: &str = "#57606a";
const LINE: &str = "#7d8590";
const GRID: &str = "#d0d7de";

/// How a line is drawn: colour, width, dashes.
fn look(name: &str) -> (&'static str, f64, &'static str) {
    match name {
        "ShareIt" => ("#0969da", 3.5, "none"),
        "floor" => ("#1f2328", 1.75, "6 4"),
        "scp" => ("#9a6700", 1.75, "none"),
        "rsync" => ("#1a7f37", 1.75, "none"),
        "rclone" => ("#bf3989", 1.75, "none"),
        "restic" => ("#8250df", 1.75, "none"),
        "borg" => ("#cf222e", 1.75, "none"),
        _ => (MUTED, 1.75, "2 3"),
    }
}

/// Both axes, in powers of ten and of two.
struct Scale {
    sizes: (f64, f64),
    rates: (f64, f64),
}

#[expect(clippy::cast_precision_loss, reason = "a file's size is drawn, not counted")]
fn log2(size: u64) -> f64 {
    (size as f64).log2()
}

impl Scale {
    fn of(panels: &[Panel]) -> Self {
        let points = || panels.iter().flat_map(|p| &p.series).flat_map(|s| &s.points);
        let sizes = points().map(|(size, _)| log2(*size));
        let rates = points().map(|(_, rate)| rate.log10());
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (slowest, fastest) = range(&mut rates.into_iter());
        Self {
            sizes: range(&mut sizes.into_iter()),
            rates: (slowest.floor(), (fastest + 0.1).ceil().max(slowest.floor() + 1.0)),
        }
    }

    fn x(&self, size: u64) -> f64 {
        let (low, high) = self.sizes;
        PANEL_WIDTH * (log2(size) - low) / (high - low).max(1.0)
    }

    /// From above, as SVG has it.
    fn y(&self, rate: f64) -> f64 {
        let (low, high) = self.rates;
        PANEL_HEIGHT * (high - rate.log10()) / (high - low)
    }
}

/// The picture, as a document of its own.
pub(crate) fn draw(panels: &[Panel]) -> Fallible<String> {
    let scale = Scale::of(panels);
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title desc"
     font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">
  <title id="title">Throughput against file size</title>
  <desc id="desc">Two plots on logarithmic axes, one for storing a file and one for fetching it: MiB per second of
    whole commands, from start to exit, against the file's size. The numbers are in throughput.csv.</desc>
  <rect x="1" y="1" width="{}" height="{}" rx="12" fill="{PAPER}" stroke="{LINE}" stroke-width="1.5"/>"#,
        WIDTH - 2.0,
        HEIGHT - 2.0,
    )?;
    let title = "MiB per second of a whole command, against the size of the file";
    writeln!(svg, r#"  <text x="20" y="34" font-size="19" font-weight="600" fill="{TEXT}">{title}</text>"#)?;
    for (number, panel) in (0_u8..).zip(panels) {
        draw_panel(&mut svg, panel, &scale, LEFT + f64::from(number) * PANEL_STEP, number == 0)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn draw_panel(svg: &mut String, panel: &Panel, scale: &Scale, left: f64, with_rates: bool) -> Fallible<()> {
    writeln!(svg, r#"  <g transform="translate({left} {TOP})">"#)?;
    writeln!(
        svg,
        r#"    <text y="-12" font-size="15" font-weight="600" fill="{TEXT}">{}</text>"#,
        panel.title
    )?;
    writeln!(svg, r#"    <rect width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}" fill="{SHEET}"/>"#)?;
    draw_grid(svg, panel, scale, with_rates)?;
    // ShareIt's line is above the others.
    let (own, others): (Vec<_>, Vec<_>) = panel.series.iter().partition(|series| series.name == "ShareIt");
    for series in others.into_iter().chain(own) {
        let (colour, width, dashes) = look(&series.name);
        let points =
            series.points.iter().map(|(size, rate)| format!("{:.1},{:.1}", scale.x(*size), scale.y(*rate)));
        writeln!(
            svg,
            r#"    <polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}" stroke-linejoin="round"/>"#,
            points.collect::<Vec<_>>().join(" ")
        )?;
    }
    draw_names(svg, panel, scale)?;
    writeln!(svg, "  </g>")?;
    Ok(())
}

fn draw_grid(svg: &mut String, panel: &Panel, scale: &Scale, with_rates: bool) -> Fallible<()> {
    let (low, high) = scale.rates;
    let mut power = low;
    while power <= high {
        let y = scale.y(10_f64.powf(power));
        writeln!(svg, r#"    <path d="M0 {y:.1} H{PANEL_WIDTH}" stroke="{GRID}"/>"#)?;
        if with_rates {
            let text = 10_f64.powf(power);
            let (x, y) = (-8, y + 4.5);
            writeln!(
                svg,
                r#"    <text x="{x}" y="{y:.1}" font-size="13" text-anchor="end" fill="{MUTED}">{text}</text>"#
            )?;
        }
        power += 1.0;
    }
    let mut sizes: Vec<u64> = panel.series.iter().flat_map(|s| &s.points).map(|(size, _)| *size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for (number, size) in sizes.into_iter().enumerate() {
        let x = scale.x(size);
        writeln!(svg, r#"    <path d="M{x:.1} 0 V{PANEL_HEIGHT}" stroke="{GRID}" stroke-opacity="0.5"/>"#)?;
        if number % 2 == 0 {
            let (y, text) = (PANEL_HEIGHT + 20.0, inputs::size_name(size));
            writeln!(
                svg,
                r#"    <text x="{x:.1}" y="{y}" font-size="13" text-anchor="middle" fill="{MUTED}">{text}</text>"#
            )?;
        }
    }
    Ok(())
}

/// Writes each name at the end of its line, or as near to it as the others let it, with a stroke between.
fn draw_names(svg: &mut String, panel: &Panel, scale: &Scale) -> Fallible<()> {
    let mut ends: Vec<(&str, f64, f64)> = panel
        .series
        .iter()
        .filter_map(|s| s.points.last().map(|(size, rate)| (s.name.as_str(), scale.x(*size), scale.y(*rate))))
        .collect();
    ends.sort_unstable_by(|a, b| a.2.total_cmp(&b.2));
    for ((name, x, y), at) in ends.iter().zip(spread(&ends.iter().map(|end| end.2).collect::<Vec<_>>())) {
        let (colour, _, _) = look(name);
        let weight = if *name == "ShareIt" { 600 } else { 400 };
        let (near, far, base) = (x + 3.0, x + 16.0, at + 4.5);
        writeln!(
            svg,
            r#"    <path d="M{near:.1} {y:.1} L{far:.1} {at:.1}" stroke="{colour}" stroke-width="1"/>"#
        )?;
        let x = far + 4.0;
        writeln!(
            svg,
            r#"    <text x="{x:.1}" y="{base:.1}" font-size="14" font-weight="{weight}" fill="{colour}">{name}</text>"#
        )?;
    }
    Ok(())
}

/// Moves heights, which come sorted, apart until each has its distance from the one before, about their middle.
fn spread(heights: &[f64]) -> Vec<f64> {
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for height in heights {
        // A group is the mean height of its members, and how many they are.
        let mut group = (*height, 1_usize);
        while let Some(last) = groups.last() {
            #[expect(clippy::cast_precision_loss, reason = "a handful of names")]
            let (own, other) = (group.1 as f64, last.1 as f64);
            if last.0 + NAME_STEP * (own + other) / 2.0 <= group.0 {
                break;
            }
            group = ((group.0 * own + last.0 * other) / (own + other), group.1 + last.1);
            groups.pop();
        }
        groups.push(group);
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of names")]
    let member = |(middle, count): (f64, usize), number: usize| {
        middle + NAME_STEP * (number as f64 - (count as f64 - 1.0) / 2.0)
    };
    groups.into_iter().flat_map(|group| (0..group.1).map(move |number| member(group, number))).collect()
}
