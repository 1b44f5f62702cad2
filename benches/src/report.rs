//! What a run has found: a table to read, JSON to compute with, and the same table for the documentation.
//!
//! Enters: [`Figure`]s, one value a round each. Leaves: text. Refuses to call a figure reached whose median is not.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::stats::Spread;

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One figure: what is said of each round, and so of the run.
#[derive(Debug)]
pub(crate) struct Figure {
    /// The group of figures that it belongs to.
    pub(crate) part: &'static str,
    pub(crate) what: String,
    /// Behind each value; empty for ratios and counts.
    pub(crate) unit: &'static str,
    /// Digits behind the decimal point.
    pub(crate) digits: usize,
    pub(crate) target: Option<Target>,
    /// One value a round.
    pub(crate) rounds: Vec<f64>,
    /// What it was computed from.
    pub(crate) note: String,
}

/// All that a run has found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
    /// What was not measured, and why.
    pub(crate) skipped: Vec<String>,
}

impl Figure {
    fn reached(&self) -> Option<bool> {
        let median = Spread::of(&self.rounds).median;
        self.target.map(|target| match target {
            Target::AtMost(most) => median <= most,
            Target::AtLeast(least) => median >= least,
        })
    }

    /// The median, and in brackets the smallest and the largest where they differ.
    fn measured(&self) -> String {
        let spread = Spread::of(&self.rounds);
        let digits = self.digits;
        let number = |value: f64| {
            let text = format!("{value:.digits$}");
            // Nothing is "-0.00".
            match text.strip_prefix('-') {
                Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => {
                    rest.to_owned()
                }
                _ => text,
            }
        };
        let (min, median, max) = (
            number(spread.min),
            number(spread.median),
            number(spread.max),
        );
        let unit = if self.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", self.unit)
        };
        if min == max {
            format!("{median}{unit}")
        } else {
            format!("{median}{unit} ({min} to {max})")
        }
    }

    fn wanted(&self) -> String {
        let unit = if self.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", self.unit)
        };
        match self.target {
            Some(Target::AtMost(most)) => format!("≤ {most}{unit}"),
            Some(Target::AtLeast(least)) => format!("≥ {least}{unit}"),
            None => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        }
    }
}

impl Report {
    /// The figures of each part as a table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::new();
        let mut part = "";
        for figure in &self.figures {
            if figure.part != part {
                part = figure.part;
                out.push_str(&format!("\n### {part}\n\n| | median (smallest to largest round) | to reach | reached | |\n|---|---|---|---|---|\n"));
            }
            // Cannot fail: writes to memory.
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                figure.what,
                figure.measured(),
                figure.wanted(),
                figure.verdict(),
                figure.note
            );
        }
        for skipped in &self.skipped {
            let _ = writeln!(out, "\nNot measured: {skipped}.");
        }
        out
    }

    /// All rounds of all figures.
    pub(crate) fn json(&self, machine: &Value) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                let spread = Spread::of(&figure.rounds);
                json!({
                    "part": figure.part,
                    "what": figure.what,
                    "unit": figure.unit,
                    "target": figure.wanted(),
                    "reached": figure.reached(),
                    "min": spread.min,
                    "median": spread.median,
                    "max": spread.max,
                    "rounds": figure.rounds,
                    "note": figure.note,
                })
            })
            .collect();
        json!({"machine": machine, "figures": figures, "skipped": self.skipped})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(target: Target, rounds: &[f64]) -> Figure {
        Figure {
            part: "calls",
            what: "added".to_owned(),
            unit: "ms",
            digits: 2,
            target: Some(target),
            rounds: rounds.to_vec(),
            note: String::new(),
        }
    }

    #[test]
    fn a_figure_is_reached_by_its_median() {
        let figure = figure(Target::AtMost(0.3), &[0.2, 0.25, 7.0]);
        assert_eq!(
            (
                figure.measured().as_str(),
                figure.wanted().as_str(),
                figure.verdict()
            ),
            ("0.25 ms (0.20 to 7.00)", "≤ 0.3 ms", "yes")
        );
    }

    #[test]
    fn what_was_not_measured_reaches_nothing() {
        assert_eq!(figure(Target::AtMost(1.0), &[]).verdict(), "**no**");
        assert_eq!(figure(Target::AtLeast(1.0), &[]).verdict(), "**no**");
    }

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!(figure(Target::AtMost(1.0), &[-0.001]).measured(), "0.00 ms");
    }
}
