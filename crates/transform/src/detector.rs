//! A score that is a detector: `name(input, .., option => value, ..)`, one call and nothing around it.
//!
//! A detector remembers what it saw of a key, which no other expression does, so it cannot stand inside of one. What it is called and
//! which options it knows is said by who calls this.

use std::ops::Range;
use std::sync::Arc;

use event::{Expression, Schema};
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, UnaryOperator,
    Value,
};

use crate::ExpressionError;
use crate::compiled::{compile_over, unnested};
use crate::source::Source;

/// A call of a detector.
#[derive(Debug, Clone)]
pub struct DetectorCall {
    /// Its name, in lower case.
    pub name: String,
    /// Where the name stands.
    pub span: Range<usize>,
    /// What it looks at: numbers.
    pub inputs: Vec<Arc<dyn Expression>>,
    /// The texts of these.
    pub texts: Vec<String>,
    /// Constants behind the inputs, which stand for options by their places.
    pub positional: Vec<(Constant, Range<usize>)>,
    /// `name => value`, in the order in which they stand.
    pub options: Vec<DetectorOption>,
}

/// An option of a detector.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOption {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: Constant,
    /// Where it stands.
    pub span: Range<usize>,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// A number.
    Number(f64),
    /// A text in quotes.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
}

/// The call, if the expression is one of something that `is_detector`; `None` if it is any other expression.
///
/// # Errors
/// If the text is no expression, an input is none or no number, or an option has a value that is no constant; the error
/// points to the word.
pub fn compile_detector(
    sql: &str,
    schema: &Schema,
    is_detector: &dyn Fn(&str) -> bool,
) -> Result<Option<DetectorCall>, ExpressionError> {
    let source = Source::new(sql);
    let tree = source.parse()?;
    let Expr::Function(function) = unnested(&tree) else { return Ok(None) };
    let name = function.name.to_string().to_ascii_lowercase();
    if !is_detector(&name) {
        return Ok(None);
    }
    let span = source.span(&function.name);
    let mut call = DetectorCall {
        name,
        span,
        inputs: Vec::new(),
        texts: Vec::new(),
        positional: Vec::new(),
        options: Vec::new(),
    };
    for argument in arguments(function, &call)? {
        call.take(argument, &source, schema)?;
    }
    Ok(Some(call))
}

/// The arguments of a call that has nothing else.
fn arguments<'a>(function: &'a Function, call: &DetectorCall) -> Result<&'a [FunctionArg], ExpressionError> {
    let plain = function.filter.is_none() && function.over.is_none() && function.within_group.is_empty();
    match &function.args {
        FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses })
            if plain && clauses.is_empty() && function.null_treatment.is_none() =>
        {
            Ok(args)
        }
        _ => {
            let message = format!("`{}` is a detector, and has arguments and nothing else", call.name);
            let help = format!("write `{}(feature, option => value)`", call.name);
            Err(ExpressionError::new(message, call.span.clone()).help(help))
        }
    }
}

impl DetectorCall {
    fn take(
        &mut self,
        argument: &FunctionArg,
        source: &Source,
        schema: &Schema,
    ) -> Result<(), ExpressionError> {
        let span = source.span(argument);
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => {
                if let Some(constant) = constant(tree).filter(|_| self.options.is_empty()) {
                    self.positional.push((constant, span));
                    return Ok(());
                }
                if !self.positional.is_empty() {
                    return Err(ExpressionError::new("inputs stand before constants", span));
                }
                let input = compile_over(source, tree, schema)?;
                if !input.data_type().is_numeric() {
                    let message =
                        format!("`{}` looks at numbers, and this is a {}", self.name, input.data_type());
                    return Err(ExpressionError::new(message, span));
                }
                if !self.options.is_empty() {
                    return Err(ExpressionError::new("inputs stand before options", span));
                }
                self.texts.push(source.argument(self.span.start, self.texts.len()).to_owned());
                self.inputs.push(Arc::new(input));
                Ok(())
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(tree), .. } => {
                let name = name.value.to_ascii_lowercase();
                let message = || format!("`{name}` is a number, a text in quotes, or true or false");
                let value =
                    constant(tree).ok_or_else(|| ExpressionError::new(message(), source.span(tree)))?;
                if self.options.iter().any(|option| option.name == name) {
                    return Err(ExpressionError::new(format!("`{name}` stands twice"), span));
                }
                self.options.push(DetectorOption { name, value, span });
                Ok(())
            }
            _ => {
                let message =
                    format!("an argument of `{}` is an expression, or `option => value`", self.name);
                Err(ExpressionError::new(message, span))
            }
        }
    }
}

fn constant(tree: &Expr) -> Option<Constant> {
    match tree {
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr)? {
            Constant::Number(number) => Some(Constant::Number(-number)),
            _ => None,
        },
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok().map(Constant::Number),
            Value::SingleQuotedString(text) => Some(Constant::Text(text.clone())),
            Value::Boolean(truth) => Some(Constant::Boolean(*truth)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use event::{DataType, Field};

    use super::*;

    fn call(sql: &str) -> Result<Option<DetectorCall>, String> {
        let schema =
            Schema::new(vec![Field::new("x", DataType::Double), Field::new("name", DataType::Varchar)]);
        let error = |error: ExpressionError| format!("{}: {}", &sql[error.span], error.message);
        compile_detector(sql, &schema, &|name| name == "baseline").map_err(error)
    }

    #[test]
    fn a_call_of_a_detector_has_inputs_and_then_options() {
        let found =
            call("(Baseline(x, x + 1, direction => 'low', warmup => -2.5, own => TRUE))").unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.inputs.len()), ("baseline", 2));
        assert_eq!(found.texts, ["x", "x + 1"]);
        let options: Vec<(&str, Constant)> =
            found.options.iter().map(|option| (option.name.as_str(), option.value.clone())).collect();
        let (low, number) = (Constant::Text("low".into()), Constant::Number(-2.5));
        assert_eq!(options, [("direction", low), ("warmup", number), ("own", Constant::Boolean(true))]);
    }

    #[test]
    fn the_text_of_an_input_is_all_of_it() {
        let texts = |sql: &str| call(sql).unwrap().unwrap().texts;
        let expected = ["sqrt(x / nullif(x, 0))", "CASE WHEN x > 1 THEN 0 ELSE 1 END"];
        assert_eq!(
            texts("baseline(sqrt(x / nullif(x, 0)), CASE WHEN x > 1 THEN 0 ELSE 1 END, limit => 2)"),
            expected
        );
        assert_eq!(texts("(baseline( (x + 1) / 2 , -x))"), ["(x + 1) / 2", "-x"]);
    }

    #[test]
    fn constants_behind_the_inputs_are_known_by_their_places() {
        let found = call("baseline(x, 100, 0.5, true, own => 1)").unwrap().unwrap();
        let positional: Vec<Constant> = found.positional.into_iter().map(|(constant, _)| constant).collect();
        assert_eq!(positional, [Constant::Number(100.0), Constant::Number(0.5), Constant::Boolean(true)]);
        assert_eq!((found.texts.len(), found.options.len()), (1, 1));
        assert_eq!(call("baseline(x, 100, x)").unwrap_err(), "x: inputs stand before constants");
    }

    #[test]
    fn anything_else_is_no_call_of_a_detector() {
        for sql in ["x", "abs(x)", "1 + 2", "baseline"] {
            assert!(call(sql).unwrap().is_none(), "{sql}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_call_is_pointed_at() {
        let wrong = |sql: &str| call(sql).unwrap_err();
        assert_eq!(wrong("baseline(name)"), "name: `baseline` looks at numbers, and this is a varchar");
        assert_eq!(wrong("baseline(y)"), "y: unknown column `y`");
        assert_eq!(wrong("baseline(x, k => x)"), "x: `k` is a number, a text in quotes, or true or false");
        assert_eq!(wrong("baseline(x, k => 1, K => 2)"), "K => 2: `k` stands twice");
        assert_eq!(wrong("baseline(k => 1, x)"), "x: inputs stand before options");
        assert!(wrong("baseline(*)").contains("is an expression"));
        assert!(wrong("baseline(DISTINCT x)").contains("nothing else"));
        assert!(wrong("baseline(x) OVER ()").contains("nothing else"));
    }
}
