;;; emacs.el --- calendars on the disk -> a JSON line each: the events as the diary has them  -*- lexical-binding: t -*-
(require 'icalendar)
(require 'json)

(setq icalendar-import-format "%s%d%l%u%t%U"
      calendar-date-style 'iso
      coding-system-for-read 'utf-8
      coding-system-for-write 'utf-8
      inhibit-message t)

(defconst reader-entry
  (concat "\\`&?\\([0-9]+\\)/\\([0-9]+\\)/\\([0-9]+\\) \\([0-9]+\\):\\([0-9]+\\)-\\([0-9]+\\):\\([0-9]+\\) \\(.*\\)"
          "\\(?:\n Desc: \\(\\(?:.\\|\n\\)*?\\)\\)?\\(?:\n Location: \\(.*\\)\\)?\\(?:\n URL: \\(.*\\)\\)?"
          "\\(?:\n Status: \\(.*\\)\\)?\\(?:\n UID: \\(.*\\)\\)?\\'")
  "A meeting in the diary: its day, from when to when by the machine's clock, what and where.")

(defun reader-event (entry)
  "The event of which a diary ENTRY tells."
  (unless (string-match reader-entry entry)
    (error "Not as the diary writes a meeting: %s" entry))
  (let* ((parts (mapcar (lambda (n) (match-string n entry)) (number-sequence 1 13)))
         (numbers (mapcar #'string-to-number (seq-take parts 7)))
         (utc (lambda (hour minute)
                (format-time-string
                 "%FT%TZ" (encode-time 0 minute hour (nth 2 numbers) (nth 1 numbers) (nth 0 numbers)) t)))
         (description (nth 8 parts)))
    `((start . ,(funcall utc (nth 3 numbers) (nth 4 numbers)))
      (end . ,(funcall utc (nth 5 numbers) (nth 6 numbers)))
      (summary . ,(nth 7 parts))
      (description . ,(and description (replace-regexp-in-string "\n " "\n" description)))
      (location . ,(nth 9 parts))
      (url . ,(nth 10 parts))
      (status . ,(nth 11 parts))
      (uid . ,(nth 12 parts)))))

(defun reader-entries (diary)
  "The entries of the file DIARY: what follows a line that is not indented belongs to it."
  (with-temp-buffer
    (insert-file-contents diary)
    (split-string (replace-regexp-in-string "\n\\([^ \n]\\)" "\0\\1" (buffer-string)) "\0" t "\n+")))

(defun reader-read (path)
  "What Emacs takes from the calendar in the file PATH."
  (let* ((diary-file (make-temp-file "diary"))
         (is-whole (icalendar-import-file path diary-file t))
         (events (mapcar #'reader-event (reader-entries diary-file))))
    (delete-file diary-file)
    (if is-whole `((events . ,(vconcat events))) '((error . "Emacs could not convert all of it")))))

(dolist (path command-line-args-left)
  (princ (json-encode (condition-case problem (reader-read path)
                        (error `((error . ,(error-message-string problem)))))))
  (terpri))
