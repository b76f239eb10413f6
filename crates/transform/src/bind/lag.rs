//! `lag(feature)`: what a feature was in the key's previous row.

use std::ops::Range;

use sqlparser::ast::Expr;

use super::aggregate::Collector;
use super::call::Written;
use super::{Binder, Bound, Place, Result};
use crate::ExpressionError;
use crate::nearest::suggestion;

/// The name of the function.
pub(super) const NAME: &str = "lag";

/// The first of these columns while features are bound: how many columns come before is not known yet.
pub(crate) const PREVIOUS: usize = usize::MAX / 4;

impl Binder<'_> {
    /// A call of `lag`.
    pub(super) fn lag(&mut self, written: &Written, span: Range<usize>) -> Result<Bound> {
        let Place::Features(collector) = &mut self.place else {
            let error = ExpressionError::new("`lag` cannot stand here", span);
            return Err(
                error.help("it is for features: it is what an earlier one was in the key's previous row")
            );
        };
        let feature = match written {
            Written::List(list) => match list.as_slice() {
                [Expr::Identifier(name)] => Some(name.value.clone()),
                _ => None,
            },
            Written::Star => None,
        };
        let Some(feature) = feature else {
            return Err(ExpressionError::new("`lag` takes the name of a feature", span)
                .help("give what stands in it a name of its own, before this feature"));
        };
        collector.previous_of(&feature, span)
    }
}

impl Collector {
    fn previous_of(&mut self, feature: &str, span: Range<usize>) -> Result<Bound> {
        let Some(place) = self.features.iter().position(|(name, _)| name == feature) else {
            let names: Vec<&str> = self.features.iter().map(|(name, _)| name.as_str()).collect();
            let error =
                ExpressionError::new(format!("there is no feature `{feature}` before this one"), span);
            return Err(error.maybe_help(suggestion(feature, names)));
        };
        let Some(data_type) = self.features[place].1.data_type else {
            return Err(ExpressionError::new(format!("the type of `{feature}` is not known"), span));
        };
        let column = self.lags.iter().position(|lag| *lag == place).unwrap_or_else(|| {
            self.lags.push(place);
            self.lags.len() - 1
        });
        Ok(Bound::column(PREVIOUS + column, data_type, span))
    }
}
