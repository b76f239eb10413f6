//! Aggregates inside the expressions of features: found, deduplicated, and read as columns by what is around them.

use std::ops::Range;
use std::sync::Arc;

use event::{Aggregate, AggregateFunction, DataType, Expression, Field, Schema};
use sqlparser::ast::{Expr, Ident};

use super::call::Written;
use super::{Binder, Bound, Place, Result};
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
    /// The columns that the calls read, each once, and how they are made.
    pub(crate) inputs: Vec<(InputName, Arc<Compiled>)>,
    /// For each call in order the place of its filter, then of its argument, in `inputs`.
    pub(crate) input_places: Vec<usize>,
    /// Features that are bound already, by name.
    pub(crate) features: Vec<(String, Bound)>,
}

impl Collector {
    /// A bare name among aggregates: an earlier feature, or an error.
    pub(super) fn feature(&self, name: &Ident, schema: &Schema, span: Range<usize>) -> Result<Bound> {
        if let Some((_, bound)) = self.features.iter().rfind(|(feature, _)| *feature == name.value) {
            return Ok(bound.clone().at(span));
        }
        let name = name.value.as_str();
        if schema.index_of(name).is_some() {
            let message = format!("the column `{name}` stands outside of an aggregate");
            return Err(ExpressionError::new(message, span).help(format!(
                "a window holds many values of it: write for instance sum({name}) or last({name})"
            )));
        }
        let features: Vec<&str> = self.features.iter().map(|(name, _)| name.as_str()).collect();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
        let known: Vec<&str> = features.into_iter().chain(columns).collect();
        Err(ExpressionError::new(format!("unknown column or feature `{name}`"), span)
            .maybe_help(suggestion(name, known)))
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    fn add(&mut self, call: NewCall) -> usize {
        let mut intern = |input: Option<(InputName, Arc<Compiled>)>| -> Option<Arc<dyn Expression>> {
            let (name, compiled) = input?;
            let place = self.inputs.iter().position(|(known, _)| *known == name).unwrap_or(self.inputs.len());
            if place == self.inputs.len() {
                self.inputs.push((name, compiled));
            }
            self.input_places.push(place);
            Some(Arc::clone(&self.inputs[place].1) as Arc<dyn Expression>)
        };
        let (filter, argument) = (intern(call.filter), intern(call.argument));
        self.fields.push(Field::new(call.name, call.aggregate.data_type()));
        self.calls.push(AggregateCall { aggregate: call.aggregate, argument, filter });
        self.calls.len() - 1
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

impl Binder<'_> {
    pub(super) fn aggregate(
        &mut self,
        function: AggregateFunction,
        written: Written,
        filter: Option<&Expr>,
        expression: &Expr,
        name_span: Range<usize>,
    ) -> Result<Bound> {
        let refused = |message: String| Err(ExpressionError::new(message, name_span.clone()));
        match &self.place {
            Place::Features(_) => {}
            Place::Aggregate => {
                return refused(format!("the aggregate `{function}` stands inside another aggregate"));
            }
            Place::Row => {
                return refused(format!("the aggregate `{function}` cannot stand here"))
                    .map_err(|error| error.help("aggregates are for features; here is one row at a time"));
            }
        }
        let argument_tree = match written {
            Written::Star if function == AggregateFunction::Count => None,
            Written::List(list) if list.is_empty() && function == AggregateFunction::Count => None,
            Written::List(list) if list.len() == 1 => Some(list[0]),
            _ => return refused(format!("`{function}` takes one argument")),
        };
        let (argument_text, filter_text) = (argument_tree.map(Expr::to_string), filter.map(Expr::to_string));
        let name = call_name(function, argument_text.as_deref(), filter_text.as_deref());
        let argument = argument_tree.map(|tree| self.inside(|inner| inner.bind(tree))).transpose()?;
        let filter = filter.map(|tree| self.inside(|inner| inner.boolean(tree))).transpose()?;
        let call = self.call_of(function, name, argument, filter, argument_text, filter_text)?;
        let data_type = call.aggregate.data_type();
        let span = self.source.span(expression);
        let Place::Features(collector) = &mut self.place else { unreachable!("checked above") };
        let place = collector.place_of(&call.name).unwrap_or_else(|| collector.add(call));
        Ok(Bound::column(place, data_type, span))
    }

    /// Binds what stands inside an aggregate, over the columns.
    fn inside<T>(&self, bind: impl FnOnce(&mut Binder) -> Result<T>) -> Result<T> {
        let mut inner =
            Binder { source: self.source, schema: self.schema, place: Place::Aggregate, depth: self.depth };
        bind(&mut inner)
    }

    fn call_of(
        &self,
        function: AggregateFunction,
        name: String,
        argument: Option<Bound>,
        filter: Option<Bound>,
        argument_text: Option<String>,
        filter_text: Option<String>,
    ) -> Result<NewCall> {
        let data_type = argument.as_ref().map(|bound| checked_argument(function, bound)).transpose()?;
        let aggregate = Aggregate { function, argument: data_type, filtered: filter.is_some() };
        let compile = |bound: Bound| Ok(Arc::new(Compiled::new(bound, self.schema)?));
        let mut argument_name = argument_text.map(InputName::Argument);
        let argument = match (argument, &filter, data_type) {
            // A row that the filter leaves out does not fail because of the argument.
            (Some(bound), Some(filter), Some(data_type)) if bound.node.fallible() => {
                let span = bound.span.clone();
                let absent = Bound::null(span.clone()).widened(data_type)?;
                argument_name = Some(InputName::FilteredArgument(name.clone()));
                Some(Bound::case(vec![(filter.clone(), bound)], absent, data_type, span)?)
            }
            (argument, ..) => argument,
        };
        let argument = argument.map(compile).transpose()?;
        let filter = filter.map(compile).transpose()?;
        Ok(NewCall {
            name,
            aggregate,
            argument: argument_name.zip(argument),
            filter: filter_text.map(InputName::Filter).zip(filter),
        })
    }
}

fn call_name(function: AggregateFunction, argument: Option<&str>, filter: Option<&str>) -> String {
    let mut name = format!("{function}({})", argument.unwrap_or("*"));
    if let Some(filter) = filter {
        name.push_str(&format!(" FILTER (WHERE {filter})"));
    }
    name
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
