//! Calls of functions, casts, and the functions for which SQL has a syntax of its own.

use std::ops::Range;

use event::{AggregateFunction, DataType, Own};
use sqlparser::ast::{
    CastKind, CeilFloorKind, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, TrimWhereField,
};

use super::aggregate::AggregateSyntax;
use super::{Binder, Bound, Operand, Place, Result, lag};
use crate::ExpressionError;
use crate::functions::{self, SMALL_INTEGERS, SmallInteger};
use crate::nearest::suggestion;

/// Names of the aggregates, for suggestions.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "stddev",
    "variance",
    "first",
    "last",
    "bool_and",
    "bool_or",
    "approx_distinct",
    "approx_percentile",
    lag::NAME,
];

/// The arguments of a call as they are written.
pub(super) enum Written<'e> {
    /// `f(*)`
    Star,
    /// `f(a, b)`
    List(Vec<&'e Expr>),
}

/// Whether a function or an aggregate that is built in has that name.
pub(crate) fn is_built_in(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut names = functions::names().chain(super::interval::names());
    AggregateFunction::from_name(&name).is_some() || names.any(|known| known == name)
}

impl Binder<'_> {
    pub(super) fn function(&mut self, function: &Function, expression: &Expr) -> Result<Operand> {
        let name = function.name.to_string().to_ascii_lowercase();
        let span = self.source.span(&function.name);
        let refused = |message: &str| ExpressionError::new(format!("`{name}`: {message}"), span.clone());
        if function.over.is_some() {
            return Err(refused("OVER is not supported").help("the windows of the job are over all features"));
        }
        let plain = function.within_group.is_empty()
            && function.null_treatment.is_none()
            && matches!(function.parameters, FunctionArguments::None)
            && !function.uses_odbc_syntax;
        if !plain {
            return Err(refused("only plain arguments are supported"));
        }
        let written = written(function).map_err(refused)?;
        let distinct = self.distinct_word(function, &span);
        if let Some(aggregate) = AggregateFunction::from_name(&name) {
            let filter = function.filter.as_deref();
            let call = AggregateSyntax { function: aggregate, own: None, written, distinct, filter, span };
            return self.aggregate(call, expression).map(Operand::Value);
        }
        if let Some(own) = self.own_aggregate(&name) {
            let (function, filter) = (AggregateFunction::Own, function.filter.as_deref());
            let call = AggregateSyntax { function, own: Some(own), written, distinct, filter, span };
            return self.aggregate(call, expression).map(Operand::Value);
        }
        if let Some(word) = distinct {
            return Err(ExpressionError::new(format!("`{name}` does not take DISTINCT"), word)
                .help("only aggregates do"));
        }
        if name == lag::NAME && function.filter.is_none() {
            return self.lag(&written, span.start..self.source.span(expression).end).map(Operand::Value);
        }
        let names = functions::names().chain(super::interval::names());
        if !names.clone().any(|known| known == name) {
            let mut known: Vec<&str> = names.chain(AGGREGATES.iter().copied()).collect();
            known.extend(self.own_names());
            let help = suggestion(&name, known);
            let help = help.filter(|help| help.starts_with("did you mean")).or(functions::advice(&name));
            return Err(ExpressionError::new(format!("unknown function `{name}`"), span).maybe_help(help));
        }
        if function.filter.is_some() {
            return Err(refused("only an aggregate takes FILTER"));
        }
        let Written::List(list) = written else {
            return Err(refused("`*` is only for count(*)"));
        };
        let arguments =
            list.into_iter().map(|argument| self.operand(argument)).collect::<Result<Vec<_>>>()?;
        let span = span.start..self.source.span(expression).end.max(span.end);
        self.call(&name, arguments, span)
    }

    /// The program's own aggregate of that name, where there are aggregates.
    fn own_aggregate(&self, name: &str) -> Option<Own> {
        match &self.place {
            Place::Features(collector) => collector.own(name).cloned(),
            Place::Row | Place::Aggregate => None,
        }
    }

    fn own_names(&self) -> Vec<&str> {
        match &self.place {
            Place::Features(collector) => collector.own.iter().map(Own::name).collect(),
            Place::Row | Place::Aggregate => Vec::new(),
        }
    }

    /// Where DISTINCT stands in a call, if it does.
    fn distinct_word(&self, function: &Function, name: &Range<usize>) -> Option<Range<usize>> {
        let FunctionArguments::List(list) = &function.args else { return None };
        if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) {
            return None;
        }
        const WORD: &str = "distinct";
        let behind = self.source.text(name.end..self.source.whole().end);
        let at = behind.to_ascii_lowercase().find(WORD).map(|at| name.end + at);
        Some(at.map_or(name.clone(), |at| at..at + WORD.len()))
    }

    /// A call of a function that is known by that name.
    fn call(&mut self, name: &str, arguments: Vec<Operand>, span: Range<usize>) -> Result<Operand> {
        match self.interval_function(name, arguments, span.clone()) {
            Ok(with_interval) => with_interval,
            Err(arguments) => functions::call(name, arguments, span).map(Operand::Value),
        }
    }

    pub(super) fn cast(
        &mut self,
        kind: &CastKind,
        operand: &Expr,
        to: &sqlparser::ast::DataType,
    ) -> Result<Operand> {
        let operand = self.operand(operand)?;
        if matches!(to, sqlparser::ast::DataType::Interval { .. }) {
            return super::interval::as_interval(operand).map(Operand::Interval);
        }
        let value = match operand {
            Operand::Interval(interval) => {
                let to = self.type_of(to, &interval.span)?.0;
                super::interval::as_text(interval, to)
            }
            Operand::Value(bound) => {
                let (to, range) = self.type_of(to, &bound.span)?;
                let attempt = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
                let cast = bound.cast(to, attempt)?;
                match range {
                    None => Ok(cast),
                    Some(range) => functions::within(cast, range, attempt),
                }
            }
        };
        value.map(Operand::Value)
    }

    /// The type, and for a whole number that is smaller than a bigint what it holds.
    fn type_of(
        &self,
        written: &sqlparser::ast::DataType,
        span: &Range<usize>,
    ) -> Result<(DataType, Option<&'static SmallInteger>)> {
        let name = written.to_string().to_ascii_lowercase();
        if let Some(small) = SMALL_INTEGERS.iter().find(|small| small.names.contains(&name.as_str())) {
            return Ok((DataType::Bigint, Some(small)));
        }
        let name = match name.as_str() {
            "double precision" => "double",
            "decimal" | "numeric" => "decimal(18,3)",
            "timestamp without time zone" => "timestamp",
            name => name,
        };
        // Of `decimal(10)` the scale is 0.
        let whole = name
            .strip_suffix(')')
            .filter(|rest| rest.starts_with("decimal(") || rest.starts_with("numeric("));
        let completed = match whole {
            Some(rest) if !rest.contains(',') => format!("{rest},0)"),
            _ => name.to_owned(),
        };
        let parsed = completed.parse().map_err(|error: event::UnknownType| {
            let help = matches!(name, "real" | "float" | "float4" | "hugeint" | "ubigint");
            let help = help.then(|| "whole numbers are bigint, others double".to_owned());
            ExpressionError::new(error.to_string(), span.clone()).maybe_help(help)
        });
        parsed.map(|data_type| (data_type, None))
    }

    /// Functions for which SQL has a syntax of its own; everything else is not supported.
    pub(super) fn special_function(&mut self, expression: &Expr) -> Result<Bound> {
        let (name, arguments) = match expression {
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("ceil", vec![self.bind(expr)?])
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("floor", vec![self.bind(expr)?])
            }
            Expr::Extract { field, expr, .. } => {
                let part = Bound::text(field.to_string().trim_matches('\''), self.source.span(expression));
                let arguments = vec![Operand::Value(part), self.operand(expr)?];
                return self.call("date_part", arguments, self.source.span(expression))?.into_value();
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut arguments =
                    vec![self.bind(expr)?, self.bind(overlay_what)?, self.bind(overlay_from)?];
                if let Some(count) = overlay_for {
                    arguments.push(self.bind(count)?);
                }
                ("overlay", arguments)
            }
            Expr::Position { expr, r#in } => ("position", vec![self.bind(r#in)?, self.bind(expr)?]),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.bind(expr)?];
                match substring_from {
                    Some(from) => arguments.push(self.bind(from)?),
                    None => arguments.push(Bound::integer(1, self.source.span(expression))),
                }
                if let Some(length) = substring_for {
                    arguments.push(self.bind(length)?);
                }
                ("substring", arguments)
            }
            Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    Some(TrimWhereField::Both) | None => "trim",
                };
                let mut arguments = vec![self.bind(expr)?];
                for what in trim_what.iter().map(AsRef::as_ref).chain(trim_characters.iter().flatten()) {
                    arguments.push(self.bind(what)?);
                }
                (name, arguments)
            }
            other => return Err(self.unsupported(other)),
        };
        functions::call(name, arguments, self.source.span(expression))
    }
}

/// The arguments of a call, or what about them is not supported.
fn written(function: &Function) -> std::result::Result<Written<'_>, &'static str> {
    let list = match &function.args {
        FunctionArguments::None => return Ok(Written::List(Vec::new())),
        FunctionArguments::Subquery(_) => return Err("a query is not supported as an argument"),
        FunctionArguments::List(list) => list,
    };
    if !list.clauses.is_empty() {
        return Err("only plain arguments are supported");
    }
    if let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = list.args.as_slice() {
        return Ok(Written::Star);
    }
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Ok(expression),
        _ => Err("only plain arguments are supported"),
    });
    Ok(Written::List(plain.collect::<std::result::Result<_, _>>()?))
}
