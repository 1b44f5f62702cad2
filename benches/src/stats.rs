//! What is said about a set of measurements: quantiles, and the spread of one figure over the rounds of a run.
//!
//! Enters: measurements of one unit, in the order in which they were taken. Leaves: values of the same unit. Refuses nothing, but nothing is said about an
//! empty set: its figures are NaN, which no target accepts.
//!
//! Every figure is taken once a round, and of the rounds the median is reported with the smallest and the largest. A machine that is disturbed during one
//! round then shows in the spread, not in the figure.

/// The smallest, the median and the largest of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`.
    pub(crate) fn of(values: &[f64]) -> Self {
        Self {
            min: quantile(values, 0.0),
            median: median(values),
            max: quantile(values, 1.0),
        }
    }
}

/// The value that a share `q` (0 to 1) of `values` does not exceed, by nearest rank: always one that was measured.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    match sorted.len() {
        0 => f64::NAN,
        count => sorted[rank.clamp(1, count) - 1],
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// How much each of `with` lies above the one of `without` that was measured right beside it. What slows both down cancels out.
pub(crate) fn differences(with: &[f64], without: &[f64]) -> Vec<f64> {
    with.iter()
        .zip(without)
        .map(|(with, without)| with - without)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let of = |q| quantile(&hundred, q);
        assert_eq!(
            [of(0.0), of(0.5), of(0.99), of(1.0)],
            [1.0, 50.0, 99.0, 100.0]
        );
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        assert_eq!(
            [median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])],
            [2.0, 2.5]
        );
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn one_disturbed_round_shows_in_the_spread_and_not_in_the_figure() {
        assert_eq!(
            Spread::of(&[0.2, 9.0, 0.1, 0.2, 0.3]),
            Spread {
                min: 0.1,
                median: 0.2,
                max: 9.0
            }
        );
    }

    #[test]
    fn drift_that_both_share_cancels() {
        let without = [1.0, 2.0, 4.0, 8.0];
        let with = [1.5, 2.5, 4.5, 8.5];
        assert_eq!(differences(&with, &without), [0.5; 4]);
    }
}
