/*toml
# Two kinds of windows over one stream: listeners who are restless just now, and visits that went badly. Each event is
# read once. Rows of both go to the same file, by the time at which they are due.
#
#     tidewatch run configs/podcast-visits.sql -w 2 \
#         --set source.events.path=FILE --set sink.alerts.path=OUT --set state.dir=DIR
version = 1
name = "podcast-visits"

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
SELECT user_id, window_start, window_end, 'restless' AS kind,
       count(*) AS events,
       count(*) FILTER (WHERE event_type IN ('pause', 'exit')) AS breaks
FROM HOP(events, ts, INTERVAL '1 minute', INTERVAL '10 minutes')
GROUP BY user_id, window_start, window_end
HAVING events >= 5 AND breaks > 0.6 * events
UNION ALL
SELECT user_id, window_start, window_end, 'visit',
       count(*),
       count(*) FILTER (WHERE event_type = 'exit')
FROM SESSION(events, ts, INTERVAL '5 minutes')
WHERE event_type <> 'seek'
GROUP BY user_id, window_start, window_end
HAVING breaks > 3
