//! The picture, in the manner of the others in docs/images.

use std::fmt::Write;

use crate::formula::{Fatal, loss_given_shock, within};
use crate::life::{Cluster, Operator, simulate};
use crate::{DAY, DEATHS_A_YEAR, WEEK, YEARS};

const LIVES: u32 = 50_000;
/// Where the axes are, in the units of the picture.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 656.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 436.0;
/// What the axes span: years until Repair, and powers of ten.
const SOONEST: f64 = DAY / 24.0;
const LATEST: f64 = 26.0 * WEEK;
const LEAST: f64 = -12.0;

const TIMES: [(&str, f64); 6] = [
    ("1 hour", DAY / 24.0),
    ("6 hours", DAY / 4.0),
    ("1 day", DAY),
    ("1 week", WEEK),
    ("4 weeks", 4.0 * WEEK),
    ("26 weeks", LATEST),
];
const CHANCES: [(&str, f64); 7] = [
    ("certain", 0.0),
    ("1 in 100", -2.0),
    ("1 in 10,000", -4.0),
    ("1 in 1,000,000", -6.0),
    ("1 in 10⁸", -8.0),
    ("1 in 10¹⁰", -10.0),
    ("1 in 10¹²", -12.0),
];
/// Servers, copies, the colour and the words beside the line's end, and how far to move these down.
const LINES: [(u32, u32, &str, &str, f64); 5] = [
    (4, 1, "#57606a", "1 copy, 4 servers", -1.0),
    (16, 2, "#0969da", "2 copies, 16 servers", 7.0),
    (4, 2, "#0550ae", "2 copies, 4 servers", 10.0),
    (4, 3, "#1a7f37", "3 copies or parity", 5.0),
    (4, 4, "#bf3989", "4 copies, 4 servers", 5.0),
];

/// The whole picture.
pub(crate) fn svg(seed: u64) -> String {
    let mut out = String::from(HEAD);
    grid(&mut out);
    common_cause(&mut out);
    for line in LINES {
        curve(&mut out, line, seed);
    }
    out += "</svg>\n";
    out
}

const HEAD: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 520" role="img" aria-labelledby="title desc"
     font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">
  <title id="title">The probability that some file is lost within ten years</title>
  <desc id="desc">Against the time from a server's death to Repair, for one to four copies. With two copies on four
    servers it is 1 in 2,850 if Repair follows after a day, 1 in 410 after a week, 1 in 104 after four weeks. At a week
    three copies on four servers, or parity, are 870 times safer. A band across it: an event once in 100 years that takes each server with even
    odds loses a file in 1 of 18 decades with two copies, in 1 of 160 with four. Drawn by examples/durability.</desc>
  <rect class="frame" x="10" y="10" width="840" height="500" rx="12" fill="#f6f8fa" stroke="#7d8590" stroke-width="1.5"/>
  <text class="heading" x="30" y="44" font-size="19" font-weight="600" fill="#1f2328">Some file lost within ten years</text>
  <text class="heading" x="30" y="68" font-size="14" fill="#57606a">Each server dies for good four times in 100 years. Lines: formula. Dots: simulation, with 95% intervals.</text>
"##;

fn x(years: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * (years / SOONEST).ln() / (LATEST / SOONEST).ln()
}

fn y(chance: f64) -> f64 {
    TOP + (BOTTOM - TOP) * chance.log10() / LEAST
}

fn grid(out: &mut String) {
    *out += "  <g stroke=\"#7d8590\" stroke-opacity=\"0.35\" stroke-width=\"1\">\n";
    for (_, power) in CHANCES {
        let y = y(10_f64.powf(power));
        let _ = writeln!(out, "    <path d=\"M{LEFT} {y:.1} H{RIGHT}\"/>");
    }
    for (_, years) in TIMES {
        let x = x(years);
        let _ = writeln!(out, "    <path d=\"M{x:.1} {TOP} V{BOTTOM}\"/>");
    }
    *out += "  </g>\n  <g font-size=\"14\" fill=\"#1f2328\">\n";
    for (word, power) in CHANCES {
        let (x, y) = (LEFT - 10.0, y(10_f64.powf(power)) + 5.0);
        let _ = writeln!(out, "    <text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{word}</text>");
    }
    for (word, years) in TIMES {
        let (x, y) = (x(years), BOTTOM + 22.0);
        let _ = writeln!(
            out,
            "    <text class=\"times\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{word}</text>"
        );
    }
    let middle = (LEFT + RIGHT) / 2.0;
    let y = BOTTOM + 48.0;
    let _ = writeln!(
        out,
        "    <text class=\"axis\" x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">from a server's death to the end of Repair</text>\n  </g>"
    );
}

/// What no number of copies in one place helps against.
fn common_cause(out: &mut String) {
    let within_ten_years = |copies| y(YEARS * loss_given_shock(&Cluster::new(4, copies), 0.5) / 100.0);
    let (top, bottom) = (within_ten_years(2), within_ten_years(4));
    let height = bottom - top;
    let width = RIGHT - LEFT;
    let (text_x, text_y) = (LEFT + 10.0, (top + bottom) / 2.0 + 5.0);
    let _ = writeln!(
        out,
        "  <rect class=\"band\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#ffd88a\" fill-opacity=\"0.7\"/>\n  \
         <text class=\"band words\" x=\"{text_x:.1}\" y=\"{text_y:.1}\" font-size=\"13\" fill=\"#1f2328\">half of the servers at once, once in 100 years</text>"
    );
}

fn curve(out: &mut String, (servers, copies, colour, words, down): (u32, u32, &str, &str, f64), seed: u64) {
    let cluster = Cluster::new(servers, copies);
    let by_formula = |after| within(Fatal::of(&cluster).rate(DEATHS_A_YEAR, after), YEARS);
    let points: Vec<(f64, f64)> = (0..=60)
        .map(|step| SOONEST * (LATEST / SOONEST).powf(f64::from(step) / 60.0))
        .map(|after| (x(after), by_formula(after)))
        .filter(|(_, chance)| chance.log10() >= LEAST)
        .map(|(x, chance)| (x, y(chance)))
        .collect();
    // The slides of the course show some curves without the others.
    let class = format!("servers{servers} copies{copies}");
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = writeln!(
        out,
        "  <path class=\"{class}\" d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" L")
    );
    let _ =
        writeln!(out, "  <g class=\"{class}\" fill=\"{colour}\" stroke=\"{colour}\" stroke-width=\"1.5\">");
    for (_, after) in TIMES {
        let estimate = simulate(&cluster, &Operator::replaces(after), LIVES, seed);
        let width = 1.96 * estimate.error;
        if estimate.mean - width <= 0.0 || estimate.mean.log10() < LEAST {
            continue;
        }
        let (x, low, high) = (x(after), y(estimate.mean - width), y(estimate.mean + width));
        let centre = y(estimate.mean);
        let _ = writeln!(
            out,
            "    <path d=\"M{x:.1} {low:.1} V{high:.1}\"/><circle cx=\"{x:.1}\" cy=\"{centre:.1}\" r=\"3.5\" stroke=\"none\"/>"
        );
    }
    *out += "  </g>\n";
    if let Some((x, y)) = points.last() {
        let (x, y) = (x + 12.0, y + down);
        let _ = writeln!(
            out,
            "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"15\" fill=\"{colour}\">{words}</text>"
        );
    }
}
