//! Aggregates inside the expressions of features: found, deduplicated, and read as columns by what is around them.

use std::ops::Range;
use std::sync::Arc;

use event::{Aggregate, AggregateFunction, DataType, Expression, Field, Fraction, Own, Schema};
use sqlparser::ast::{Expr, Ident};

use super::call::Written;
use super::{Binder, Bound, Place, Result, window};
use crate::ExpressionError;
use crate::compiled::Compiled;
use crate::features::AggregateCall;
use crate::nearest::suggestion;

/// The aggregates of a job's features, and the features so far.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) calls: Vec<AggregateCall>,
    /// A field for each call: what it is called and the type of its result.
    pub(crate) fields: Vec<Field>,
    /// The columns that the calls read.
    pub(crate) inputs: Inputs,
    /// For each call in order the place of its filter, then of its argument, in `inputs`.
    pub(crate) input_places: Vec<usize>,
    /// Features that are bound already, by name.
    pub(crate) features: Vec<(String, Bound)>,
    /// Those of them whose value in the key's previous row is asked for.
    pub(crate) lags: Vec<usize>,
    /// Aggregates of the program's own that features may use.
    pub(crate) own: Vec<Own>,
    /// What holds for the records that come into the aggregates, if not all do.
    pub(crate) only: Option<Condition>,
}

impl Collector {
    /// A bare name among aggregates: an earlier feature, an edge of the window, or an error.
    pub(super) fn feature(&self, name: &Ident, schema: &Schema, span: Range<usize>) -> Result<Bound> {
        if let Some((_, bound)) = self.features.iter().rfind(|(feature, _)| *feature == name.value) {
            return Ok(bound.clone().at(span));
        }
        let name = name.value.as_str();
        if let Some(edge) = window::edge(name, &span) {
            return Ok(edge);
        }
        if schema.index_of(name).is_some() {
            let message = format!("the column `{name}` stands outside of an aggregate");
            return Err(ExpressionError::new(message, span).help(format!(
                "a window holds many values of it: write for instance sum({name}) or last({name})"
            )));
        }
        let features: Vec<&str> = self.features.iter().map(|(name, _)| name.as_str()).collect();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
        let known: Vec<&str> = features.into_iter().chain(columns).chain(window::NAMES).collect();
        Err(ExpressionError::new(format!("unknown column or feature `{name}`"), span)
            .maybe_help(suggestion(name, known)))
    }

    /// The program's own aggregate of that name.
    pub(super) fn own(&self, name: &str) -> Option<&Own> {
        self.own.iter().find(|own| own.name() == name)
    }

    /// Whether an earlier feature has that name.
    pub(super) fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|(feature, _)| feature == name)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    fn add(&mut self, call: NewCall) -> usize {
        let mut intern = |input: Option<(InputName, Arc<Compiled>)>| -> Option<Arc<dyn Expression>> {
            let (name, compiled) = input?;
            let place = self.inputs.place_of(name, compiled);
            self.input_places.push(place);
            Some(Arc::clone(&self.inputs.0[place].1) as Arc<dyn Expression>)
        };
        let (filter, argument) = (intern(call.filter), intern(call.argument));
        self.fields.push(Field::new(call.name, call.aggregate.data_type()));
        self.calls.push(AggregateCall { aggregate: call.aggregate, argument, filter });
        self.calls.len() - 1
    }
}

/// The columns that aggregates read, each once, and how they are made.
#[derive(Debug, Default)]
pub(crate) struct Inputs(pub(crate) Vec<(InputName, Arc<Compiled>)>);

impl Inputs {
    /// The place of a column, which is added unless it is there.
    pub(crate) fn place_of(&mut self, name: InputName, compiled: Arc<Compiled>) -> usize {
        let place = self.0.iter().position(|(known, _)| *known == name).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push((name, compiled));
        }
        place
    }
}

/// A condition that is never NULL, and how it is written.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) bound: Bound,
    pub(crate) text: String,
}

impl Condition {
    /// The value where the condition holds, else NULL, so that it cannot fail there.
    pub(crate) fn of(&self, bound: Bound) -> Result<Bound> {
        let span = bound.span.clone();
        match bound.data_type {
            Some(data_type) if bound.node.fallible() => {
                let absent = Bound::null(span.clone()).widened(data_type)?;
                Bound::case(vec![(self.bound.clone(), bound)], absent, data_type, span)
            }
            _ => Ok(bound),
        }
    }

    /// Both; the other cannot fail where this one does not hold.
    fn and(&self, other: &Condition) -> Result<Condition> {
        let (span, both) = (other.bound.span.clone(), vec![self.bound.clone(), other.bound.clone()]);
        let text = format!("({}) AND ({})", self.text, other.text);
        Ok(Condition { bound: Bound::junction(true, both, span)?, text })
    }
}

/// What tells the columns that aggregates read apart: their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputName {
    /// A filter.
    Filter(String),
    /// An argument.
    Argument(String),
    /// An argument that is only evaluated where the filter of its call holds, by the name of the call.
    FilteredArgument(String),
}

/// A call with the columns it reads.
struct NewCall {
    name: String,
    aggregate: Aggregate,
    filter: Option<(InputName, Arc<Compiled>)>,
    argument: Option<(InputName, Arc<Compiled>)>,
}

/// A call of an aggregate as it is written.
pub(super) struct AggregateSyntax<'e> {
    pub(super) function: AggregateFunction,
    /// The program's own aggregate, if it is one.
    pub(super) own: Option<Own>,
    pub(super) written: Written<'e>,
    /// The word `DISTINCT`.
    pub(super) distinct: Option<Range<usize>>,
    pub(super) filter: Option<&'e Expr>,
    /// The name of the function.
    pub(super) span: Range<usize>,
}

impl AggregateSyntax<'_> {
    /// What messages call it.
    fn name(&self) -> &str {
        self.own.as_ref().map_or(self.function.name(), Own::name)
    }
}

/// What goes into an aggregate: bound, and as it is written.
#[derive(Default)]
struct CallInputs {
    argument: Option<(Bound, String)>,
    filter: Option<(Bound, String)>,
}

impl Binder<'_> {
    pub(super) fn aggregate(&mut self, syntax: AggregateSyntax<'_>, expression: &Expr) -> Result<Bound> {
        let AggregateSyntax { function, ref span, .. } = syntax;
        let name = syntax.name();
        let refused = |message: String| Err(ExpressionError::new(message, span.clone()));
        match &self.place {
            Place::Features(_) => {}
            Place::Aggregate => {
                return refused(format!("the aggregate `{name}` stands inside another aggregate"));
            }
            Place::Row => {
                return refused(format!("the aggregate `{name}` cannot stand here"))
                    .map_err(|error| error.help("aggregates are for features; here is one row at a time"));
            }
        }
        let distinct = takes_distinct(&syntax)?;
        let (argument, fraction) = self.arguments(&syntax)?;
        let bind = |tree: &Expr| Ok((self.inside(|inner| inner.bind(tree))?, tree.to_string()));
        let argument = argument.map(bind).transpose()?;
        let condition = |tree: &Expr| Ok((self.inside(|inner| inner.boolean(tree))?, tree.to_string()));
        let filter = syntax.filter.map(condition).transpose()?;
        let argument = match (&syntax.own, argument) {
            (Some(own), Some((bound, text))) => Some((own_argument(own, bound)?, text)),
            (_, argument) => argument,
        };
        let aggregate = match (syntax.own, &argument) {
            (Some(own), _) => Aggregate { filtered: filter.is_some(), ..Aggregate::own(own) },
            (None, argument) => {
                let checked = argument.as_ref().map(|(bound, _)| checked_argument(function, bound));
                let filtered = filter.is_some();
                Aggregate { filtered, distinct, fraction, ..Aggregate::of(function, checked.transpose()?) }
            }
        };
        let call = self.call_of(aggregate, CallInputs { argument, filter })?;
        let data_type = call.aggregate.data_type();
        let span = self.source.span(expression);
        let Place::Features(collector) = &mut self.place else { unreachable!("checked above") };
        let place = collector.place_of(&call.name).unwrap_or_else(|| collector.add(call));
        Ok(Bound::column(place, data_type, span))
    }

    /// The argument of a call, unless it is a star or nothing, and the fraction behind it.
    fn arguments<'e>(&self, syntax: &AggregateSyntax<'e>) -> Result<(Option<&'e Expr>, Option<Fraction>)> {
        let AggregateSyntax { function, span, .. } = syntax;
        let name = syntax.name();
        let refused = |message: &str| Err(ExpressionError::new(format!("`{name}` {message}"), span.clone()));
        match (&syntax.written, function) {
            (Written::List(list), AggregateFunction::ApproxPercentile) => match list[..] {
                [argument, fraction] => Ok((Some(argument), Some(self.fraction(fraction)?))),
                _ => refused("takes two arguments").map_err(|error| error.help("approx_percentile(x, 0.95)")),
            },
            (Written::Star, AggregateFunction::Count) => Ok((None, None)),
            (Written::List(list), _) => match list[..] {
                [] if *function == AggregateFunction::Count => Ok((None, None)),
                [argument] => Ok((Some(argument), None)),
                _ => refused("takes one argument"),
            },
            _ => refused("takes one argument"),
        }
    }

    /// A number from 0 to 1 that is written out.
    fn fraction(&self, tree: &Expr) -> Result<Fraction> {
        let bound = self.inside(|inner| inner.bind(tree))?;
        bound.constant_double().and_then(Fraction::new).ok_or_else(|| {
            ExpressionError::new("expected a number from 0 to 1 that is written out", bound.span.clone())
                .help("the part of the values that lies below the result, as 0.95")
        })
    }

    /// Binds what stands inside an aggregate, over the columns.
    fn inside<T>(&self, bind: impl FnOnce(&mut Binder) -> Result<T>) -> Result<T> {
        let mut inner =
            Binder { source: self.source, schema: self.schema, place: Place::Aggregate, depth: self.depth };
        bind(&mut inner)
    }

    fn call_of(&self, aggregate: Aggregate, inputs: CallInputs) -> Result<NewCall> {
        let name = call_name(&aggregate, &inputs);
        let compile = |bound: Bound| Ok(Arc::new(Compiled::new(bound, self.schema)?));
        let filter = inputs.filter.map(|(bound, text)| Condition { bound, text });
        // A row that the filter leaves out does not fail because of the argument.
        let argument = match (inputs.argument, self.guard(filter.as_ref())?) {
            (Some((bound, _)), Some(guard)) if bound.node.fallible() => {
                let name = self.only().map_or(name.clone(), |only| format!("{name} WHERE {}", only.text));
                Some((InputName::FilteredArgument(name), compile(guard.of(bound)?)?))
            }
            (Some((bound, text)), _) => Some((InputName::Argument(text), compile(bound)?)),
            (None, _) => None,
        };
        let filter = match filter {
            Some(filter) if filter.bound.node.fallible() => self.guard(Some(&filter))?,
            filter => filter,
        };
        let filter = match filter {
            Some(Condition { bound, text }) => Some((InputName::Filter(text), compile(bound)?)),
            None => None,
        };
        Ok(NewCall { name, aggregate, argument, filter })
    }

    /// What holds for all records that come into aggregates, if anything does.
    fn only(&self) -> Option<&Condition> {
        match &self.place {
            Place::Features(collector) => collector.only.as_ref(),
            Place::Row | Place::Aggregate => None,
        }
    }

    /// What holds for the records that come into an aggregate with that filter, if anything does.
    fn guard(&self, filter: Option<&Condition>) -> Result<Option<Condition>> {
        match (self.only(), filter) {
            (Some(only), Some(filter)) => only.and(filter).map(Some),
            (only, filter) => Ok(only.or(filter).cloned()),
        }
    }
}

/// Whether equal values count once. Of least and greatest it makes no difference.
fn takes_distinct(syntax: &AggregateSyntax<'_>) -> Result<bool> {
    let Some(word) = &syntax.distinct else { return Ok(false) };
    let function = syntax.function;
    match (function, &syntax.written) {
        (AggregateFunction::Min | AggregateFunction::Max, _) => Ok(false),
        (AggregateFunction::Count, Written::Star) => {
            let message = "DISTINCT needs a value that can differ";
            Err(ExpressionError::new(message, word.clone()).help("count(*) counts records: name a column"))
        }
        (AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Avg, _) => Ok(true),
        _ => Err(ExpressionError::new(format!("`{}` does not take DISTINCT", syntax.name()), word.clone())
            .help("count, sum, avg, min and max do")),
    }
}

/// All that tells a call from others.
fn call_name(aggregate: &Aggregate, inputs: &CallInputs) -> String {
    let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
    let argument = inputs.argument.as_ref().map_or("*", |(_, text)| text);
    let mut name = format!("{}({distinct}{argument}", aggregate.name());
    if let Some(fraction) = aggregate.fraction {
        name.push_str(&format!(", {}", fraction.value()));
    }
    name.push(')');
    if let Some((_, filter)) = &inputs.filter {
        name.push_str(&format!(" FILTER (WHERE {filter})"));
    }
    name
}

/// An argument of the type that the program's own aggregate takes. A number is widened, as elsewhere.
fn own_argument(own: &Own, argument: Bound) -> Result<Bound> {
    let wanted = own.argument();
    let fits = argument
        .data_type
        .is_none_or(|found| found == wanted || (found, wanted) == (DataType::Bigint, DataType::Double));
    if fits {
        return argument.widened(wanted);
    }
    let message = format!("`{}` takes a {wanted}, found a {}", own.name(), argument.type_name());
    Err(ExpressionError::new(message, argument.span.clone())
        .maybe_help(super::conversion_help(&argument, wanted)))
}

/// Type of an argument on which the function is defined.
fn checked_argument(function: AggregateFunction, argument: &Bound) -> Result<DataType> {
    let Some(data_type) = argument.data_type else {
        let message = format!("the type of the argument of `{function}` is not known");
        return Err(ExpressionError::new(message, argument.span.clone()).help("write CAST(NULL AS double)"));
    };
    if function.result_type(data_type).is_some() {
        return Ok(data_type);
    }
    let wanted = match function {
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => DataType::Boolean,
        _ => DataType::Double,
    };
    let message = format!("`{function}` is not defined on a {data_type}");
    Err(ExpressionError::new(message, argument.span.clone())
        .maybe_help(super::conversion_help(argument, wanted)))
}
