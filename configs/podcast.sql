/*toml
# The reference job, configs/podcast-reference.toml, as one statement: it writes the same rows.
#
#     tidewatch run configs/podcast.sql -w 2 \
#         --set source.events.path=FILE --set sink.alerts.path=OUT --set state.dir=DIR
version = 1
name = "podcast-reference"

[source.events]
type = "file"                             # newline-delimited JSON
path = "events.ndjson"
lanes = 16

[event]                                   # its key is what the statement groups by
time = { field = "ts", unit = "ms" }

[event.fields]
event_type = "varchar"
duration_s = "double"

[time]
out_of_order = "5s"

[sink.alerts]                             # plain rows of what the statement selects
type = "file"
path = "alerts.ndjson"

[state]
dir = "state"
checkpoint_every = "5s"
*/
SELECT user_id, window_start, window_end,
       count(*) AS events,
       coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0) AS listen_s,
       count(*) FILTER (WHERE event_type = 'pause') AS pauses,
       count(*) FILTER (WHERE event_type = 'exit') AS exits,
       round((listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits), 4) AS score
FROM HOP(events, ts, INTERVAL '1 minute', INTERVAL '10 minutes')
GROUP BY user_id, window_start, window_end
HAVING (listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits) < 0.3
