//! An axis: which place a value has on it, where its ticks are, and how it is drawn.

use maud::{Markup, html};

use super::{BASELINE, px};

/// Parts that the ticks of a linear axis divide it into, at most.
const PARTS_MAX: f64 = 6.0;

/// Decades of a logarithmic axis from which on only powers of ten have a tick.
const DECADES_MANY: i32 = 3;

/// Values from `low` to `high` at the places from `from` to `to`.
pub(super) struct Axis {
    /// Of a logarithmic axis the decimal logarithms, as the next.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// A linear axis. Where all values are the same, there is one all the same.
    pub(super) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Axis {
        let high = if high > low { high } else { low + 1.0 };
        Axis {
            low,
            high,
            from,
            to,
            is_logarithmic: false,
        }
    }

    /// A logarithmic axis; both ends of its values are above 0.
    pub(super) fn logarithmic((low, high): (f64, f64), places: (f64, f64)) -> Axis {
        Axis {
            is_logarithmic: true,
            ..Axis::linear((low.log10(), high.log10()), places)
        }
    }

    /// Where `value` is; what lies beyond the axis is at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic {
            value.log10()
        } else {
            value
        };
        let share = (value - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
            let is_many = last - first > DECADES_MANY;
            let within: &[f64] = if is_many { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = first..=last;
            let values = decades
                .flat_map(|decade| within.iter().map(move |times| times * 10f64.powi(decade)));
            let is_on = |value: &f64| {
                let logarithm = value.log10();
                logarithm > self.low - 1e-9 && logarithm < self.high + 1e-9
            };
            return values.filter(is_on).collect();
        }
        let least = (self.high - self.low) / PARTS_MAX;
        let decade = 10f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * decade);
        let step = steps.into_iter().find(|step| *step >= least);
        let step = step.unwrap_or(least);
        let first = (self.low / step).ceil();
        (0..=PARTS_MAX as i32)
            .map(|number| (first + f64::from(number)) * step)
            .filter(|value| *value <= self.high)
            .collect()
    }

    /// As the lower edge of a plot that reaches from `top` to `bottom`: its grid, its ticks and what it counts.
    pub(super) fn below(
        &self,
        (top, bottom): (f64, f64),
        label: &str,
        text: fn(f64) -> String,
    ) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let x = px(self.at(tick));
                line x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) stroke="var(--grid)" {}
                text x=(x) y=(px(bottom + 18.0)) text-anchor="middle" { (text(tick)) }
            }
            line x1=(px(self.from)) x2=(px(self.to)) y1=(px(bottom)) y2=(px(bottom)) stroke="var(--axis)" {}
            text x=(px(self.from.midpoint(self.to))) y=(px(bottom + 37.0)) text-anchor="middle" { (label) }
        }
    }

    /// As the left edge of a plot that reaches from `left` to `right`, with what it counts above it.
    pub(super) fn beside(
        &self,
        (left, right): (f64, f64),
        label: &str,
        text: fn(f64) -> String,
    ) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let y = self.at(tick);
                line x1=(px(left)) x2=(px(right)) y1=(px(y)) y2=(px(y)) stroke="var(--grid)" {}
                text x=(px(left - 7.0)) y=(px(y + BASELINE)) text-anchor="end" { (text(tick)) }
            }
            line x1=(px(left)) x2=(px(left)) y1=(px(self.from)) y2=(px(self.to)) stroke="var(--axis)" {}
            text x="0" y="13" { (label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_place_and_what_lies_beyond_is_at_the_end() {
        let axis = Axis::linear((0.0, 10.0), (100.0, 200.0));
        assert_eq!(
            [0.0, 5.0, 10.0, 99.0].map(|value| axis.at(value)),
            [100.0, 150.0, 200.0, 200.0]
        );
        let axis = Axis::logarithmic((1.0, 100.0), (300.0, 100.0));
        assert_eq!(
            [1.0, 10.0, 100.0].map(|value| axis.at(value)),
            [300.0, 200.0, 100.0]
        );
        assert!(Axis::linear((7.0, 7.0), (0.0, 1.0)).at(7.0).is_finite());
    }

    #[test]
    fn ticks_are_round_and_few() {
        let linear = |low, high| Axis::linear((low, high), (0.0, 1.0)).ticks();
        assert_eq!(linear(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear(-30.0, 70.0), [-20.0, 0.0, 20.0, 40.0, 60.0]);
        assert!(linear(0.0, 1e300).len() > 3);
        let logarithmic = |low, high| Axis::logarithmic((low, high), (0.0, 1.0)).ticks();
        assert_eq!(logarithmic(1.0, 20.0), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(logarithmic(50.0, 2e6), [1e2, 1e3, 1e4, 1e5, 1e6]);
    }
}
