//! What was measured: printed as it comes, kept for the summary and for `--json`.
//!
//! What always holds: every round is printed; a ratio is that of the two medians; a mark says
//! which of its two targets a ratio reached.

use std::fmt::Write as _;

/// A comparison with a peer, and what it should come to.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What is done.
    pub name: String,
    /// Against whom.
    pub peer: &'static str,
    /// The ratio it must reach and the one it aims at. `None`: for information.
    pub target: Option<(f64, f64)>,
}

/// Both sides' nanoseconds per operation, a pair for each round.
#[derive(Debug, Clone)]
struct Measured {
    comparison: Comparison,
    rounds: Vec<(f64, f64)>,
}

/// A figure that has no peer.
#[derive(Debug, Clone)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// Most that it may be.
    limit: Option<f64>,
}

/// Everything measured so far.
#[derive(Debug, Default)]
pub struct Report {
    measured: Vec<Measured>,
    figures: Vec<Figure>,
}

/// The middle one, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
    }
}

impl Measured {
    fn medians(&self) -> (f64, f64) {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = self.rounds.iter().copied().unzip();
        (median(&ours), median(&theirs))
    }

    fn ratio(&self) -> f64 {
        let (ours, theirs) = self.medians();
        theirs / ours
    }

    fn mark(&self) -> &'static str {
        match self.comparison.target {
            None => "",
            Some((_, aim)) if self.ratio() >= aim => "aim reached",
            Some((least, _)) if self.ratio() >= least => "pass",
            Some(_) => "MISS",
        }
    }

    fn target_text(&self) -> String {
        match self.comparison.target {
            None => "-".into(),
            Some((least, aim)) => format!("x{least} / x{aim}"),
        }
    }
}

impl Report {
    /// Runs both sides in turn, the one that begins changing with each round.
    pub fn compare(
        &mut self,
        comparison: Comparison,
        rounds: u32,
        mut ours: impl FnMut() -> f64,
        mut theirs: impl FnMut() -> f64,
    ) {
        println!("\n{} - against {}", comparison.name, comparison.peer);
        let mut measured = Measured { comparison, rounds: Vec::new() };
        for round in 0..rounds {
            let pair = if round % 2 == 0 {
                let first = ours();
                (first, theirs())
            } else {
                let first = theirs();
                (ours(), first)
            };
            println!("  round {:2}: {:9.1} ns, peer {:9.1} ns", round + 1, pair.0, pair.1);
            measured.rounds.push(pair);
        }
        let (ours, theirs) = measured.medians();
        let (ratio, mark) = (measured.ratio(), measured.mark());
        let target = measured.target_text();
        println!("  median  : {ours:9.1} ns, peer {theirs:9.1} ns: x{ratio:.2} ({target}) {mark}");
        self.measured.push(measured);
    }

    /// Notes a figure.
    pub fn figure(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        limit: Option<f64>,
    ) {
        let figure = Figure { name: name.into(), value, unit, limit };
        println!("  {}", figure.line());
        self.figures.push(figure);
    }

    /// The tables of `docs/performance.md`.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        if !self.measured.is_empty() {
            text.push_str(
                "| workload | against | ns per operation | peer's | ratio | at least / aim | |\n",
            );
            text.push_str("| --- | --- | ---: | ---: | ---: | --- | --- |\n");
        }
        for each in &self.measured {
            let (ours, theirs) = each.medians();
            let Comparison { name, peer, .. } = &each.comparison;
            let (ratio, target, mark) = (each.ratio(), each.target_text(), each.mark());
            let _ = writeln!(
                text,
                "| {name} | {peer} | {ours:.1} | {theirs:.1} | x{ratio:.2} | {target} | {mark} |"
            );
        }
        if !self.figures.is_empty() {
            text.push_str("\n| figure | value | at most | |\n| --- | ---: | ---: | --- |\n");
        }
        for each in &self.figures {
            let limit = each.limit.map_or("-".into(), |limit| format!("{} {}", limit, each.unit));
            let _ = writeln!(
                text,
                "| {} | {} {} | {limit} | {} |",
                each.name,
                short(each.value),
                each.unit,
                each.mark()
            );
        }
        text
    }

    /// Everything, round by round.
    pub fn json(&self) -> String {
        let comparisons: Vec<String> = self
            .measured
            .iter()
            .map(|each| {
                let rounds: Vec<String> =
                    each.rounds.iter().map(|(a, b)| format!("[{a:.2},{b:.2}]")).collect();
                let (ours, theirs) = each.medians();
                format!(
                    "{{\"name\":{:?},\"peer\":{:?},\"ours_ns\":{ours:.2},\"peer_ns\":{theirs:.2},\
                     \"ratio\":{:.4},\"rounds\":[{}]}}",
                    each.comparison.name,
                    each.comparison.peer,
                    each.ratio(),
                    rounds.join(",")
                )
            })
            .collect();
        let figures: Vec<String> = self
            .figures
            .iter()
            .map(|each| {
                format!(
                    "{{\"name\":{:?},\"value\":{},\"unit\":{:?}}}",
                    each.name, each.value, each.unit
                )
            })
            .collect();
        format!(
            "{{\"comparisons\":[{}],\n\"figures\":[{}]}}\n",
            comparisons.join(",\n"),
            figures.join(",\n")
        )
    }

    /// Whether every target's lower mark and every limit was kept.
    pub fn all_kept(&self) -> bool {
        self.measured.iter().all(|each| each.mark() != "MISS")
            && self.figures.iter().all(|each| each.mark() != "MISS")
    }
}

impl Figure {
    fn mark(&self) -> &'static str {
        match self.limit {
            None => "",
            Some(limit) if self.value <= limit => "pass",
            Some(_) => "MISS",
        }
    }

    fn line(&self) -> String {
        let limit = self.limit.map_or(String::new(), |limit| {
            format!(" (at most {limit} {}) {}", self.unit, self.mark())
        });
        format!("{}: {} {}{limit}", self.name, short(self.value), self.unit)
    }
}

/// A number with about three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
