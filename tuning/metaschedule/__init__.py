"""A search for the schedule of one kernel, by TVM's MetaSchedule."""
