//! The text of one expression: parsing it within limits, and where in it a node stands.
//!
//! The only place that calls the parser. `bind` gives meaning to what it returns.

use std::ops::Range;

use sqlparser::ast::{Expr, Spanned};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::ExpressionError;
use crate::dialect::DuckDb;

/// Longest text of an expression, in bytes.
const BYTES_MAX: usize = 64 * 1024;
/// Most words and operators of one expression. Literals and commas are not counted, so that an `IN` list may be long.
const WORDS_MAX: usize = 2_000;
/// Longest statement, in bytes and in words; each of its expressions is one of its own.
const STATEMENT_BYTES_MAX: usize = 256 * 1024;
const STATEMENT_WORDS_MAX: usize = 20_000;
/// Deepest nesting of parentheses that the parser follows.
pub(crate) const NESTING_MAX: usize = 48;

/// The text of an expression, with the places of its tokens.
pub(crate) struct Source<'a> {
    text: &'a str,
    /// Byte at which each line starts.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { text, lines }
    }

    /// Parses the whole text as one expression.
    pub(crate) fn parse(&self) -> Result<Expr, ExpressionError> {
        let (expression, alias) = self.parse_aliased()?;
        match alias {
            None => Ok(expression),
            Some((_, span)) => Err(ExpressionError::new(
                "a name with AS cannot stand here: the expression has one already",
                span,
            )),
        }
    }

    /// Parses the whole text as an expression that may be followed by `AS name`.
    #[allow(clippy::type_complexity)]
    pub(crate) fn parse_aliased(&self) -> Result<(Expr, Option<(String, Range<usize>)>), ExpressionError> {
        let tokens = self.tokens()?;
        let mut parser =
            Parser::new(&DuckDb).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens.clone());
        let expression = parser.parse_expr().map_err(|error| self.parse_error(error, &tokens))?;
        let mut alias = None;
        if parser.parse_keyword(Keyword::AS) {
            let name = parser.parse_identifier().map_err(|error| self.parse_error(error, &tokens))?;
            alias = Some((name.value, self.range(name.span)));
        }
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            let message = format!("expected the end of the expression, found `{}`", rest.token);
            return Err(ExpressionError::new(message, self.range(rest.span)));
        }
        Ok((expression, alias))
    }

    /// Bytes of the text on which that node stands; the whole text where the parser does not know.
    pub(crate) fn span(&self, node: &impl Spanned) -> Range<usize> {
        self.range(node.span())
    }

    /// The text of an argument, by its place, of a call that begins there: where nested calls and cases end the parser does not say.
    pub(crate) fn argument(&self, call: usize, place: usize) -> &'a str {
        let (mut depth, mut number, mut found) = (0, 0, None);
        for token in self.tokens().unwrap_or_default() {
            let at = self.range(token.span);
            if at.start < call || matches!(token.token, Token::Whitespace(_)) {
                continue;
            }
            let is_within = depth > 0;
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth -= 1,
                Token::Comma if depth == 1 => {
                    number += 1;
                    continue;
                }
                _ => {}
            }
            if is_within && depth == 0 {
                break;
            }
            if is_within && number == place {
                found = Some(found.map_or(at.clone(), |found: Range<usize>| found.start..at.end));
            }
        }
        self.text(found.unwrap_or(call..call))
    }

    pub(crate) fn range(&self, span: Span) -> Range<usize> {
        if span.start.line == 0 {
            return self.whole();
        }
        let start = self.byte(span.start);
        start..self.byte(span.end).max(start)
    }

    pub(crate) fn text(&self, span: Range<usize>) -> &'a str {
        &self.text[span]
    }

    pub(crate) fn whole(&self) -> Range<usize> {
        0..self.text.len()
    }

    fn byte(&self, location: Location) -> usize {
        let line = (location.line as usize).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or(self.text.len());
        let skipped = (location.column as usize).saturating_sub(1);
        self.text[start..].char_indices().nth(skipped).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn tokens(&self) -> Result<Vec<TokenWithSpan>, ExpressionError> {
        self.tokens_within("expression", BYTES_MAX, WORDS_MAX)
    }

    /// The words of a whole statement.
    pub(crate) fn statement_tokens(&self) -> Result<Vec<TokenWithSpan>, ExpressionError> {
        self.tokens_within("statement", STATEMENT_BYTES_MAX, STATEMENT_WORDS_MAX)
    }

    fn tokens_within(
        &self,
        what: &str,
        bytes_max: usize,
        words_max: usize,
    ) -> Result<Vec<TokenWithSpan>, ExpressionError> {
        if self.text.len() > bytes_max {
            let message = format!("the {what} is longer than {bytes_max} bytes");
            return Err(ExpressionError::new(message, 0..0));
        }
        let tokens = Tokenizer::new(&DuckDb, self.text)
            .tokenize_with_location()
            .map_err(|error| self.error_at(&error.to_string(), &[]))?;
        // A chain of operators nests to the left without the parser's recursion, so its length is bounded here.
        let counted = |token: &&TokenWithSpan| {
            !matches!(
                token.token,
                Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_)
            )
        };
        if let Some(token) = tokens.iter().filter(counted).nth(words_max) {
            let message = format!("the {what} has more than {words_max} words and operators");
            return Err(ExpressionError::new(message, self.range(token.span)));
        }
        if tokens.iter().all(|token| matches!(token.token, Token::Whitespace(_))) {
            return Err(ExpressionError::new(format!("the {what} is empty"), self.whole()));
        }
        Ok(tokens)
    }

    pub(crate) fn parse_error(&self, error: ParserError, tokens: &[TokenWithSpan]) -> ExpressionError {
        match error {
            ParserError::RecursionLimitExceeded => {
                let message = format!("the expression is nested deeper than {NESTING_MAX} levels");
                ExpressionError::new(message, self.whole())
            }
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                self.error_at(&message, tokens)
            }
        }
    }

    /// Takes the place out of a parser's message: `... at Line: 1, Column: 5`.
    fn error_at(&self, message: &str, tokens: &[TokenWithSpan]) -> ExpressionError {
        let (words, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
        let location = place.split_once(", Column: ").and_then(|(line, column)| {
            let column = column.trim_end_matches(|c: char| !c.is_ascii_digit());
            Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
        });
        let span = match location {
            None => self.text.len()..self.text.len(),
            Some(start) => match tokens.iter().find(|token| token.span.start == start) {
                Some(token) => self.range(token.span),
                None => self.byte(start)..self.text.len(),
            },
        };
        let mut words = words.trim_start_matches("sql parser error: ").to_owned();
        if let Some(first) = words.get(..1) {
            words = format!("{}{}", first.to_ascii_lowercase(), &words[1..]);
        }
        ExpressionError::new(words.replace("EOF", "the end").replace("expected: ", "expected "), span)
    }
}
