# The job for jq: jq --null-input --compact-output --from-file agents.jq LOG. Rows out: what, labels, number.
def bucket($bounds): . as $x | first($bounds[] | select($x <= .)) // "+Inf" | tostring;

[0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 120, 300, 600] as $llm
| [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as $tool
| reduce inputs as $line ({};
    if $line.event == "llm.call" then
      .llm_calls[$line.model][$line.status] += 1
      | .llm_alone[$line.model][$line.duration_ms / 1000 | bucket($llm)] += 1
      | .tokens.input += $line.input_tokens
      | .tokens.output += $line.output_tokens
      | .tokens.cache_read += $line.cache_read_input_tokens
      | .tokens.cache_creation += $line.cache_creation_input_tokens
    elif $line.event == "tool.call" then
      .tool_calls[$line.tool][$line.status] += 1
      | .tool_alone[$line.tool][$line.duration_ms / 1000 | bucket($tool)] += 1
    elif $line.event == "run.complete" then
      .runs[$line.status][$line.stop_reason] += 1
    else . end)
| [paths(numbers) as $labels | $labels + [getpath($labels)]]
