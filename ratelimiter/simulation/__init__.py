"""What a limit would have done: a traffic trace and a replica timeline against any settings.

trace -> scenario -> run -> outcome -> picture. Pure; the limits come from the controller's own functions.
"""
